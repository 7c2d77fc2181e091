import { Injectable } from '@nestjs/common';
import { RouterService } from './router.service.js';

/** A target as metrics name it. */
export interface TargetLabels {
  provider: string;
  model: string;
  /** `<provider>/<model>` */
  target: string;
}

/** Callers name models as they like, and metrics must have few: those that are not listed are one. */
const OTHER = 'other';

@Injectable()
export class TargetNames {
  constructor(private readonly router: RouterService) {}

  /** @param target the name of a target */
  labelsOf(target: string): TargetLabels {
    const slash = target.indexOf('/');
    const provider = target.slice(0, slash);
    const model = this.router.listModels().includes(target) ? target.slice(slash + 1) : OTHER;
    return { provider, model, target: `${provider}/${model}` };
  }
}
