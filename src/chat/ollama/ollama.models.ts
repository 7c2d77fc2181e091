import { Injectable } from '@nestjs/common';
import { createHash } from 'node:crypto';
import type { Caller } from '../../access/caller.js';
import { ChatError } from '../../errors/chat-error.js';
import { isServed } from '../../routing/route.js';
import { RouterService } from '../../routing/router.service.js';
import { AllowedModels } from '../allowed-models.service.js';

/** The tag that Ollama's clients may add to a name without one. */
const DEFAULT_TAG = /:latest$/;

/**
 * What a client may ask of a model: a provider whose model can't do it says so. Not `thinking`, which
 * makes Ollama's command line ask for it.
 */
const CAPABILITIES = ['completion', 'tools', 'vision'];

/** The models as Ollama's clients expect to see them. They are not files, and have no size. */
@Injectable()
export class OllamaModels {
  private readonly modifiedAt = new Date().toISOString();

  constructor(
    private readonly router: RouterService,
    private readonly allowed: AllowedModels,
  ) {}

  /**
   * The name by which Sluice knows a model.
   * @throws {ChatError} `permission_denied`, `model_not_found`
   */
  find(name: string | null | undefined, caller: Caller): string | undefined {
    const known = name && this.router.listModels().includes(name) ? name : untagged(name);
    this.allowed.expect(caller, known);
    if (isServed(this.router.resolve(known).targets[0])) return known;
    throw new ChatError('model_not_found', `model '${name}' not found`, { param: 'model' });
  }

  list(caller: Caller) {
    return { models: this.allowed.list(caller).map((name) => this.entryOf(name)) };
  }

  show(asked: string | null | undefined, caller: Caller) {
    const { name, provider } = this.router.resolve(this.find(asked, caller)).targets[0];
    return {
      license: '',
      modelfile: '',
      parameters: '',
      template: '{{ .Prompt }}',
      details: detailsOf(provider.name),
      model_info: { 'general.architecture': provider.name, 'general.basename': asked ?? name },
      capabilities: CAPABILITIES,
      modified_at: this.modifiedAt,
    };
  }

  private entryOf(name: string) {
    const { provider } = this.router.resolve(name).targets[0];
    return {
      name,
      model: name,
      modified_at: this.modifiedAt,
      size: 0,
      // Clients show its first digits.
      digest: createHash('sha256').update(name).digest('hex'),
      details: detailsOf(provider.name),
    };
  }
}

function untagged(name?: string | null): string | undefined {
  return name?.replace(DEFAULT_TAG, '') || undefined;
}

function detailsOf(family: string) {
  return {
    parent_model: '',
    format: '',
    family,
    families: [family],
    parameter_size: '',
    quantization_level: '',
  };
}
