import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../../test/support/eventually.js';
import { LineWriter } from './line.writer.js';

const READ = constants.O_RDONLY | constants.O_NONBLOCK;
const WRITE = constants.O_WRONLY | constants.O_NONBLOCK;

/** Longer than lines wait for others. */
const WRITTEN_MS = 300;

const MIB = 2 ** 20;

describe(LineWriter.name, () => {
  let directory: string;
  let fds: number[];
  let complaints: unknown[];

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'sluice-'));
    fds = [];
    complaints = [];
    jest.spyOn(console, 'error').mockImplementation((said) => void complaints.push(said));
  });
  afterEach(() => {
    jest.restoreAllMocks();
    for (const fd of fds) closeSync(fd);
    rmSync(directory, { recursive: true });
  });

  function open(name: string, flags: number | string): number {
    const fd = openSync(join(directory, name), flags);
    fds.push(fd);
    return fd;
  }

  /** A pipe with a name, so that its reader can leave and come back. */
  function makePipe(name: string) {
    execFileSync('mkfifo', [join(directory, name)]);
    return { reader: open(name, READ), writer: open(name, WRITE) };
  }

  /** What can be read at once. */
  function read(fd: number): string {
    const bytes = Buffer.alloc(MIB);
    let text = '';
    for (;;) {
      try {
        const length = readSync(fd, bytes);
        if (length === 0) return text;
        text += bytes.toString('latin1', 0, length);
      } catch {
        return text;
      }
    }
  }

  it('should write lines to a file in their order, together and soon', async () => {
    const sut = new LineWriter(open('log', 'a'));
    const lines = Array.from({ length: 1_000 }, (_, index) => `line ${index}\n`);
    for (const line of lines) sut.write(line);
    sut.write('last\n');
    const written = () => readFileSync(join(directory, 'log'), 'utf8');
    await eventually(() => expect(written()).toBe(`${lines.join('')}last\n`));
  });

  it('should write again to a reader who comes back, and complain once', async () => {
    const { reader, writer } = makePipe('log');
    closeSync(reader);
    fds = [writer];
    const sut = new LineWriter(writer);
    sut.write('to nobody\n');
    await eventually(() => expect(complaints).toHaveLength(1));
    sut.write('later\n');
    await sleep(WRITTEN_MS);

    let text = '';
    const another = open('log', READ);
    await eventually(() => expect((text += read(another))).toBe('to nobody\nlater\n'));
    expect(complaints).toEqual(["The log can't be written: EPIPE: broken pipe, write"]);
  });

  it('should go on after a reader who stalled, without the lines that were too many', async () => {
    const { reader, writer } = makePipe('log');
    const sut = new LineWriter(writer);
    for (let line = 0; line < 20; line += 1) sut.write(`${String(line).padEnd(MIB - 1)}\n`);
    await sleep(WRITTEN_MS);

    let text = '';
    await eventually(() => expect((text += read(reader)).length).toBe(16 * MIB), 20_000);
    const numbers = text.match(/^\d+/gm);
    expect(numbers).toEqual([...Array(16).keys()].map(String));
    sut.write('more\n');
    await eventually(() => expect((text += read(reader)).slice(16 * MIB)).toBe('more\n'));
    expect(complaints).toEqual([]);
  });
});
