import { Inject, Injectable } from '@nestjs/common';
import { RunRecords, type RunRecord } from '../runs/run-record.js';
import { USAGE_STORE, type Counts, type UsageRow, type UsageStore } from './usage-store.js';
import { daysOf, type Period } from './usage-period.js';

/** Counts what every run used, for its owner. */
@Injectable()
export class UsageService {
  constructor(
    records: RunRecords,
    @Inject(USAGE_STORE) private readonly store: UsageStore,
  ) {
    records.subscribe((record) => this.take(record));
  }

  /** @throws {ChatError} `store_unavailable` */
  async read(owner: string, period: Period): Promise<UsageRow[]> {
    const rows = await this.store.read(owner, daysOf(period));
    return rows.sort((a, b) => a.date.localeCompare(b.date) || a.model.localeCompare(b.model));
  }

  private take(record: RunRecord) {
    // The day on which it started is the one whose budget it was taken from.
    const day = record.created_at.slice(0, 10);
    this.store.add(record.owner, day, record.target, countsOf(record));
  }
}

function countsOf(record: RunRecord): Counts {
  const { status, total_tokens } = record;
  return {
    runs: 1,
    completed: Number(status === 'completed'),
    failed: Number(status === 'failed'),
    cancelled: Number(status === 'cancelled'),
    prompt_tokens: record.prompt_tokens,
    cached_tokens: record.cached_tokens,
    completion_tokens: record.completion_tokens,
    reasoning_tokens: record.reasoning_tokens,
    total_tokens,
    estimated_tokens: record.token_source === 'estimated' ? total_tokens : 0,
    unseen_tokens: record.unseen_tokens,
    bytes: record.bytes,
  };
}
