import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import * as eventsource from 'eventsource';
import { describeLines } from '../support/newest.js';
import { startProxy, type Proxy } from '../support/proxy.js';
import { describeStores, type Cluster } from '../support/stores.js';
import {
  startUpstream,
  textOf,
  type Upstream,
  type UpstreamRequest,
} from '../support/upstream/index.js';

let upstream: Upstream;
let keys = 0;

beforeAll(async () => {
  upstream = await startUpstream();
});
afterEach(() => upstream.reset());
afterAll(() => upstream.close());

await describeLines(['eventsource'], eventsource, ({ EventSource }) => {
  /** What a page does with its EventSource: it never looks at connections. */
  class Page {
    text = '';
    readonly ids: string[] = [];
    /** The statuses and reasons with which a connection ended. */
    readonly errors: (number | undefined)[] = [];
    readonly source: eventsource.EventSource;
    /** Resolves with the run's last event. */
    readonly end: Promise<string>;
    /** Resolves when the browser would not reconnect any more. */
    readonly closed: Promise<void>;

    constructor(url: string) {
      const source = (this.source = new EventSource(url));
      source.onmessage = ({ data, lastEventId }) => {
        this.text += (JSON.parse(data as string) as { content: string }).content;
        this.ids.push(lastEventId);
      };
      this.end = new Promise((resolve) => {
        for (const name of ['done', 'cancelled'])
          source.addEventListener(name, () => resolve(name));
      });
      this.closed = new Promise((resolve) => {
        source.addEventListener('error', (event) => {
          this.errors.push((event as { code?: number }).code);
          if (source.readyState === EventSource.CLOSED) resolve();
        });
      });
    }
  }

  describeStores('EventSource over a network that breaks', (store) => {
    let cluster: Cluster;
    let proxy: Proxy;
    let pages: Page[];

    beforeAll(async () => {
      cluster = await store.start({ OPENAI_BASE_URL: `${upstream.url}/v1` });
    });
    beforeEach(async () => {
      pages = [];
      // A connection after the first lands on the next instance, where there are two.
      proxy = await startProxy(...cluster.instances.map(({ port }) => port));
    });
    afterEach(async () => {
      for (const { source } of pages) source.close();
      await proxy.close();
    });
    afterAll(() => cluster.close());

    function open(model: string, policy = 'grace=10'): Page {
      const key = `page-${(keys += 1)}`;
      const query = { q: 'hi', model, on_disconnect: policy, idempotency_key: key };
      const search = new URLSearchParams(query).toString();
      const page = new Page(`${proxy.url}/v1/chat/stream?${search}`);
      pages.push(page);
      return page;
    }

    /** One generation that was never broken off, whatever became of the connections. */
    function expectOneGeneration(): UpstreamRequest {
      expect(upstream.requests).toHaveLength(1);
      const [request] = upstream.requests;
      expect(request!.closedEarly).toBe(false);
      return request!;
    }

    it('reconnects by itself, loses nothing, and stops after the end', async () => {
      proxy.cutNextAfter(900, 1_300);
      const page = open('text_tokens-60_ms-30');
      expect(await page.end).toBe('done');
      expect(page.text).toBe(textOf(60));
      expect(page.ids.map((id) => Number(id.split(':')[1]))).toEqual(
        Array.from({ length: 60 }, (_, index) => index + 2),
      );
      expectOneGeneration();

      await page.closed;
      // Two cuts, the good end, and the answer that it has seen it all.
      expect(page.errors).toEqual([undefined, undefined, undefined, 204]);
      expectOneGeneration();
    });

    it('comes back for what was generated while it was away', async () => {
      proxy.cutNextAfter(700);
      const page = open('text_tokens-30_ms-10');
      expect(await page.end).toBe('done');
      expect(page.text).toBe(textOf(30));
      expect(proxy.connections).toBe(2);
      expectOneGeneration();
    });

    it('is told by its key what it had begun when it was cut before the first id', async () => {
      // Before anything was answered, behind the head, and in the middle of the first event.
      const cuts = ['HTTP', '\r\n\r\n', 'event: sta'];
      const models = cuts.map((_cut, index) => `text_tokens-${20 + index}_wait-100`);
      proxy.cutNextAfter(...cuts);
      for (const [index, model] of models.entries()) {
        open(model);
        await upstream.next((request) => request.model === model);
        expect(proxy.connections).toBe(index + 1);
      }
      for (const [index, page] of pages.entries()) {
        expect(await page.end).toBe('done');
        page.source.close();
        expect(page.text).toBe(textOf(20 + index));
        expect(page.errors).toEqual([undefined]);
      }
      expect(upstream.requests.map(({ model }) => model)).toEqual(models);
      expect(upstream.closedEarly).toBe(0);
    });

    it('that comes back too late sees that the run was cancelled, and starts nothing', async () => {
      proxy.cutNextAfter('data: {"content"');
      const { end, closed } = open('stall', 'grace=0.2');
      expect(await end).toBe('cancelled');
      await closed;
      expect(upstream.requests).toHaveLength(1);
      expect(upstream.closedEarly).toBe(1);
    });
  });
});
