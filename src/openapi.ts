import type { NestExpressApplication } from '@nestjs/platform-express';
import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger';

const DESCRIPTION = [
  'Streams LLM answers to API consumers: no token wasted, no token lost.',
  'The native routes stream server-sent events. Each has an id, the run and a number; the last is',
  'exactly one of done, cancelled and error. Failures before the first byte keep their HTTP status,',
  'with x-should-retry and, where it helps, Retry-After.',
].join('\n');

const KEY = 'An API key or a JSON Web Token. A server without keys wants none.';
const TICKET = 'Of POST /v1/tickets, for EventSource.';

/** Serves the API's description at `/docs`, and as OpenAPI at `/docs-json`. */
export function setUpDocs(app: NestExpressApplication) {
  const document = new DocumentBuilder()
    .setTitle('Sluice')
    .setDescription(DESCRIPTION)
    .setVersion('1')
    .addBearerAuth({ type: 'http', scheme: 'bearer', description: KEY })
    .addApiKey({ type: 'apiKey', in: 'header', name: 'api-key' }, 'api-key')
    .addApiKey({ type: 'apiKey', in: 'header', name: 'x-api-key' }, 'x-api-key')
    .addApiKey({ type: 'apiKey', in: 'query', name: 'ticket', description: TICKET }, 'ticket')
    .addSecurityRequirements('bearer')
    .addSecurityRequirements('api-key')
    .addSecurityRequirements('x-api-key')
    .build();
  SwaggerModule.setup('docs', app, () => SwaggerModule.createDocument(app, document), {
    jsonDocumentUrl: 'docs-json',
  });
}
