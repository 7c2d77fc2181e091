import type { NestExpressApplication } from '@nestjs/platform-express';
import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger';

const DESCRIPTION = [
  'Streams LLM answers to API consumers: no token wasted, no token lost.',
  'The native routes stream server-sent events. Each has an id, the run and a number; the last is',
  'exactly one of done, cancelled and error. Failures before the first byte keep their HTTP status,',
  'with x-should-retry and, where it helps, Retry-After.',
].join('\n');

/** Serves the API's description at `/docs`, and as OpenAPI at `/docs-json`. */
export function setUpDocs(app: NestExpressApplication) {
  const document = new DocumentBuilder()
    .setTitle('Sluice')
    .setDescription(DESCRIPTION)
    .setVersion('1')
    .addBearerAuth()
    .addSecurityRequirements('bearer')
    .build();
  SwaggerModule.setup('docs', app, () => SwaggerModule.createDocument(app, document), {
    jsonDocumentUrl: 'docs-json',
  });
}
