import { Module } from '@nestjs/common';
import { ProvidersModule } from '../providers/providers.module.js';
import { RouterService } from './router.service.js';
import { TargetNames } from './target-names.js';

@Module({
  imports: [ProvidersModule],
  providers: [RouterService, TargetNames],
  exports: [RouterService, TargetNames],
})
export class RoutingModule {}
