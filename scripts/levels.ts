/** Output of nested machines on one terminal, so that one sees which level each line comes from. */

/** What L1's monitor puts in front of the lines of L2's console. */
const L2_LABEL = 'L2| ';
const L1_LABEL = 'L1| ';
const L0_LABEL = 'L0| ';

/** Select Graphic Rendition sequences (ECMA-48 section 8.3.117). */
const COLOUR = { L0: '\x1b[36m', L2: '\x1b[32m', NONE: '\x1b[0m' } as const;

export interface LevelStyle {
  /** Whether to give every line a label. Otherwise L1's output is left as it is, for programs that draw on the screen. */
  readonly labels: boolean;
  readonly colours: boolean;
}

/** Takes L1's console as it comes, and L0's messages line by line. */
export class LevelOutput {
  private readonly write: (text: string) => void;
  private readonly style: LevelStyle;
  /** The current line of L1's console, up to now. */
  private line = '';
  private coloured = false;
  private sawL2 = false;

  constructor(write: (text: string) => void, style: LevelStyle) {
    this.write = write;
    this.style = style;
  }

  /** Whether L2 has said that it runs. */
  get l2Ready(): boolean {
    return this.sawL2;
  }

  /** A message of L0, on a line of its own. */
  message(text: string): void {
    const interrupted = !this.style.labels && this.line !== '';
    this.write(`${interrupted ? '\n' : ''}${this.inColour(COLOUR.L0, `${L0_LABEL}${text}`)}\n`);
    if (interrupted) this.line = '';
  }

  /** Some of L1's console. */
  console(text: string): void {
    const parts = text.split('\n');
    for (const [index, part] of parts.entries()) {
      this.addToLine(part);
      if (index < parts.length - 1) this.endLine();
    }
  }

  /** There is no more: what is left of a line is shown. */
  end(): void {
    if (this.style.labels && this.line !== '') this.endLine();
  }

  private addToLine(part: string): void {
    const before = this.line;
    this.line += part;
    if (this.style.labels || part === '') return;
    if (this.style.colours && !this.coloured && this.line.startsWith(L2_LABEL) && before.length < L2_LABEL.length) {
      // the label is complete, and may have been begun without colour
      this.coloured = true;
      this.write(`\r${COLOUR.L2}${this.line}`);
    } else this.write(part);
  }

  private endLine(): void {
    const line = this.line.replace(/\r+$/, '');
    const isL2 = line.startsWith(L2_LABEL);
    if (isL2 && line.startsWith(READY, L2_LABEL.length)) this.sawL2 = true;
    if (!this.style.labels) this.write(`${this.coloured ? COLOUR.NONE : ''}\n`);
    else this.write(`${isL2 ? this.inColour(COLOUR.L2, line) : L1_LABEL + line}\n`);
    this.line = '';
    this.coloured = false;
  }

  private inColour(colour: string, text: string): string {
    return this.style.colours ? `${colour}${text}${COLOUR.NONE}` : text;
  }
}

/** What L2's init prints. */
const READY = 'TESTUDO-L2-READY';

/** Cuts a stream into lines; the last one need not have an end. */
export async function* linesOf(stream: AsyncIterable<string>): AsyncGenerator<string> {
  let rest = '';
  for await (const piece of stream) {
    const lines = (rest + piece).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) yield line.replace(/\r+$/, '');
  }
  if (rest !== '') yield rest;
}
