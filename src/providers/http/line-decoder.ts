import { StringDecoder } from 'node:string_decoder';

/**
 * Cuts a UTF-8 body into lines, wherever its packets were split. A line ends in LF, CR or CRLF
 * (WHATWG HTML §9.2.5). A leading byte order mark is dropped.
 */
export class LineDecoder {
  /** There from the first packet on that may have ended within a character: few streams need it. */
  private decoder?: StringDecoder;
  /** The line so far. Only new text is searched: a long line costs no more for its packets. */
  private pending = '';
  private atStart = true;
  private afterCr = false;

  /** @param onLine gets each line without its end, and returns false to stop the rest. */
  constructor(private readonly onLine: (line: string) => boolean) {}

  /** Characters of the line that has no end yet. */
  get pendingLength() {
    return this.pending.length;
  }

  push(bytes: Buffer) {
    let text = this.decode(bytes);
    if (text === '') return;
    if (this.atStart) {
      this.atStart = false;
      if (text.startsWith('\uFEFF')) text = text.slice(1);
    }
    let start = 0;
    if (this.afterCr && text.startsWith('\n')) start = 1;
    this.afterCr = false;

    let lf = text.indexOf('\n', start);
    let cr = text.indexOf('\r', start);
    while (lf !== -1 || cr !== -1) {
      const end = lf === -1 || (cr !== -1 && cr < lf) ? cr : lf;
      const line = this.pending + text.slice(start, end);
      this.pending = '';
      start = end + 1;
      if (end === cr) {
        if (lf === start) start += 1;
        else if (start === text.length) this.afterCr = true;
        cr = text.indexOf('\r', start);
      }
      if (lf !== -1 && lf < start) lf = text.indexOf('\n', start);
      if (!this.onLine(line)) return;
    }
    this.pending += text.slice(start);
  }

  private decode(bytes: Buffer): string {
    // Of a character of several bytes none is below 0x80.
    if (bytes.length > 0 && bytes[bytes.length - 1]! >= 0x80) {
      this.decoder ??= new StringDecoder('utf8');
    }
    return this.decoder?.write(bytes) ?? bytes.toString('utf8');
  }
}
