import { fstatSync, write, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

/** Lines that wait for a reader who stalls or a disk that is full, in bytes; further ones are dropped. */
const MAX_WAITING = 2 ** 24;

/** Lines are written together: so many characters of them, or what there is after so many milliseconds. */
const WRITE_LENGTH = 4_096;
const WRITE_MS = 100;

/** After how many milliseconds what could not be written is tried again. */
const RETRY_MS = 10;

/** How long the end of the process waits for a reader, in milliseconds. */
const EXIT_MS = 500;

const NOTHING = Buffer.alloc(0);

const writeInThread = promisify(write);

/**
 * Writes the lines of a log. Whatever becomes of them, nothing waits for it and nothing fails: what can't
 * be written is tried again, and the end of the process is not put off for long. What pino has for it, at
 * the end tries for ever (https://github.com/pinojs/sonic-boom/blob/v4.2.1/index.js, `flushSync`).
 */
export class LineWriter {
  private lines = '';
  private waiting: Buffer[] = [];
  /** What is being written, but for what a thread has. */
  private rest = NOTHING;
  /** Of what is not written, without `lines`, in bytes. */
  private length = 0;
  private isBusy = false;
  private hasComplained = false;
  private flushing?: NodeJS.Timeout;
  /**
   * A thread writes what a disk may keep waiting. One that waited for the reader of a pipe would keep the
   * process from ending (https://github.com/libuv/libuv/blob/v1.x/src/threadpool.c, `uv__threadpool_cleanup`).
   */
  private readonly mayBlock: boolean;

  /** @param fd if it is a pipe or a socket, one that does not block */
  constructor(private readonly fd: number) {
    const stats = fstatSync(fd);
    this.mayBlock = !stats.isFIFO() && !stats.isSocket();
    process.once('exit', () => this.writeLast());
  }

  /** @param line with its line break */
  write(line: string) {
    if (this.length + this.lines.length + line.length > MAX_WAITING) return;
    this.lines += line;
    if (this.lines.length >= WRITE_LENGTH) this.flush();
    else this.flushing ??= setTimeout(() => this.flush(), WRITE_MS).unref();
  }

  private flush() {
    clearTimeout(this.flushing);
    this.flushing = undefined;
    this.collect();
    if (!this.isBusy) void this.writeAll();
  }

  private collect() {
    const bytes = Buffer.from(this.lines);
    this.lines = '';
    this.waiting.push(bytes);
    this.length += bytes.length;
  }

  private async writeAll() {
    this.isBusy = true;
    while (this.waiting.length > 0) {
      this.rest = Buffer.concat(this.waiting);
      this.waiting = [];
      while (this.rest.length > 0) await this.writeSome();
    }
    this.isBusy = false;
  }

  private async writeSome() {
    const bytes = this.rest;
    let written = 0;
    try {
      if (this.mayBlock) {
        // It ends what it has begun, also when the process ends.
        this.rest = NOTHING;
        written = (await writeInThread(this.fd, bytes)).bytesWritten;
      } else {
        written = writeSync(this.fd, bytes);
      }
    } catch (error) {
      this.complain(error as NodeJS.ErrnoException);
    }
    this.rest = bytes.subarray(written);
    this.length -= written;
    if (this.rest.length > 0) await sleep(RETRY_MS, undefined, { ref: false });
  }

  /** Once: whoever reads it knows, and what it is written to may be as full. */
  private complain({ code, message }: NodeJS.ErrnoException) {
    if (code === 'EAGAIN' || this.hasComplained) return;
    this.hasComplained = true;
    console.error(`The log can't be written: ${message}`);
  }

  private writeLast() {
    this.collect();
    let rest = Buffer.concat([this.rest, ...this.waiting]);
    const deadline = performance.now() + EXIT_MS;
    while (rest.length > 0 && performance.now() < deadline) {
      try {
        rest = rest.subarray(writeSync(this.fd, rest));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS);
      }
    }
  }
}
