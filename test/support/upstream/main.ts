import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startUpstream } from './index.js';
import { startTlsUpstreams } from './tls.js';

const port = Number(process.argv[2] ?? 4010);
const upstream = await startUpstream({ port });
const { authority, upstreams } = await startTlsUpstreams(port + 1);
const { good, expired, 'other-host': otherHost, stranger } = upstreams;
const file = join(tmpdir(), 'scripted-authority.pem');
writeFileSync(file, authority);

console.log(`The scripted upstream; docs/faults.md says which model plays what.
  OpenAI        ${upstream.url}/v1
  Azure OpenAI  ${upstream.url}
  Ollama        ${upstream.url}
and behind TLS, vouched for by ${file}:
  ${good.url}
  ${expired.url} (expired)
  ${otherHost.url} (for another host)
  ${stranger.url} (vouched for by somebody else)`);
