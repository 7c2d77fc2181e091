import { Controller, Get, Query } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { FromCaller, type Caller } from '../access/caller.js';
import { addCounts, noCounts } from './usage-store.js';
import { usageQuery } from './usage-period.js';
import { ApiUsage } from './usage.openapi.js';
import { UsageService } from './usage.service.js';

@ApiTags('usage')
@Controller('v1/usage')
export class UsageController {
  constructor(private readonly usage: UsageService) {}

  @Get()
  @ApiUsage()
  async read(@FromCaller() { owner }: Caller, @Query() query: unknown) {
    const { start, end, model } = usageQuery(query);
    const rows = await this.usage.read(owner, { start, end });
    const data = rows.filter((row) => row.model === (model ?? row.model));
    const total = noCounts();
    for (const row of data) addCounts(total, row);
    return { object: 'list', start, end, data, total };
  }
}
