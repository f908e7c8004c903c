/**
 * Runs cases on the host's own processor, through the harness in native/, which is compiled into the cache directory
 * when its source changed. See native/harness.c for how a case runs and for the binary form of requests and responses.
 */
import { execFile, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { arch, homedir, platform } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Case, Outcome, Result, Span } from './case.ts';
import { CODE_MAXIMUM, FXSAVE_SIZE, hasErrorCode, windowBackground } from './case.ts';

const SOURCE = fileURLToPath(new URL('native/harness.c', import.meta.url));

/** Linked far above 4 GiB so that nothing of the harness is within reach of 32-bit addresses. */
const COMPILER_ARGUMENTS = [
  '-O2',
  '-ffreestanding',
  '-nostdlib',
  '-static',
  '-fPIC',
  '-fno-stack-protector',
  '-fcf-protection=none',
  '-mno-red-zone',
  '-Wl,-Ttext-segment=0x200000000000',
  '-Wl,-z,noexecstack',
];

/** struct request and struct response of harness.c. */
const REQUEST = {
  length: 0,
  mode: 4,
  codeLength: 5,
  spanCount: 6,
  rip: 8,
  gpr: 16,
  rflags: 144,
  fsBase: 152,
  gsBase: 160,
  fx: 168,
  code: 168 + FXSAVE_SIZE,
  spans: 168 + FXSAVE_SIZE + CODE_MAXIMUM,
} as const;
const RESPONSE = {
  length: 0,
  status: 4,
  vector: 6,
  spanCount: 8,
  errorCode: 12,
  cr2: 16,
  rip: 24,
  gpr: 32,
  rflags: 160,
  fsBase: 168,
  gsBase: 176,
  fx: 184,
  spans: 184 + FXSAVE_SIZE,
} as const;
const SPAN_HEADER = 4;
/** enum status of harness.c. */
const STATUS = ['stopped', 'exception', 'timeout', 'system-call', 'rejected'] as const;

const VECTOR_PAGE_FAULT = 14;

/** Where built things go: $TESTUDO_CACHE, else $XDG_CACHE_HOME/testudo, else ~/.cache/testudo. */
export function cacheDirectory(): string {
  const { TESTUDO_CACHE, XDG_CACHE_HOME } = process.env;
  if (TESTUDO_CACHE) return TESTUDO_CACHE;
  return join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'testudo');
}

/** Why this host cannot run cases natively, or undefined where it can. */
export function nativeUnavailable(): string | undefined {
  if (platform() !== 'linux' || arch() !== 'x64')
    return `native vectors need an x86-64 Linux host, not ${arch()} ${platform()}`;
  try {
    execFileSync('gcc', ['--version'], { stdio: 'ignore' });
  } catch {
    return 'native vectors need gcc';
  }
  return undefined;
}

/**
 * Why results of this host are not to be trusted in everything, or undefined. A kernel without FSGSBASE was seen (a paravirtual
 * guest) that reports #SS as #GP, loses NT, refuses RSP that is not canonical and runs no 32-bit code.
 */
export function nativeUnfaithful(): string | undefined {
  return kernelEnablesFsgsbase()
    ? undefined
    : 'a kernel without FSGSBASE does not report exceptions as the processor does';
}

/** Looks into the auxiliary vector the kernel gave this process: pairs of type and value, 64 bits each. */
function kernelEnablesFsgsbase(): boolean {
  const AT_HWCAP2 = 26n;
  const HWCAP2_FSGSBASE = 2n;
  const { buffer, byteOffset, byteLength } = readFileSync('/proc/self/auxv');
  const vector = new BigUint64Array(buffer.slice(byteOffset, byteOffset + byteLength));
  for (let i = 0; i + 1 < vector.length; i += 2)
    if (vector[i] === AT_HWCAP2) return (vector[i + 1] & HWCAP2_FSGSBASE) !== 0n;
  return false;
}

/** The processor's name as the kernel reports it. */
export function processorName(): string {
  const information = readFileSync('/proc/cpuinfo', 'utf8');
  const field = (name: string): string => new RegExp(`^${name}\\s*: (.*)$`, 'm').exec(information)?.[1] ?? '?';
  const signature = ['cpu family', 'model', 'stepping'].map((name) => `${name} ${field(name)}`).join(' ');
  return `${field('model name')} (${field('vendor_id')} ${signature})`;
}

let built: Promise<string> | undefined;

/** Compiles the harness if need be; its path. */
export function buildHarness(): Promise<string> {
  built ??= build();
  return built;
}

async function build(): Promise<string> {
  const key = createHash('sha256').update(readFileSync(SOURCE)).update(COMPILER_ARGUMENTS.join(' ')).digest('hex');
  const directory = join(cacheDirectory(), 'vectors');
  const program = join(directory, `harness-${key.slice(0, 16)}`);
  if (existsSync(program)) return program;
  mkdirSync(directory, { recursive: true });
  // Several processes may build at once: each writes its own file, and the rename is atomic.
  const temporary = `${program}.${process.pid}`;
  await promisify(execFile)('gcc', [...COMPILER_ARGUMENTS, '-o', temporary, SOURCE]);
  renameSync(temporary, program);
  return program;
}

const roundUp = (size: number): number => (size + 7) & ~7;

function requestSize(testCase: Case): number {
  let size: number = REQUEST.spans;
  for (const span of testCase.memory) size += SPAN_HEADER + span.bytes.length;
  return roundUp(size);
}

function writeRequest(view: DataView, bytes: Uint8Array, at: number, size: number, testCase: Case): void {
  const { state, code, memory, mode } = testCase;
  view.setUint32(at + REQUEST.length, size, true);
  view.setUint8(at + REQUEST.mode, mode === 32 ? 1 : 0);
  view.setUint8(at + REQUEST.codeLength, code.length);
  view.setUint16(at + REQUEST.spanCount, memory.length, true);
  view.setBigUint64(at + REQUEST.rip, state.rip, true);
  for (let i = 0; i < 16; i++) view.setBigUint64(at + REQUEST.gpr + 8 * i, state.gpr[i], true);
  view.setUint32(at + REQUEST.rflags, state.rflags, true);
  view.setBigUint64(at + REQUEST.fsBase, state.fsBase, true);
  view.setBigUint64(at + REQUEST.gsBase, state.gsBase, true);
  bytes.set(state.fx, at + REQUEST.fx);
  bytes.set(code.subarray(0, CODE_MAXIMUM), at + REQUEST.code);
  let to = at + REQUEST.spans;
  for (const span of memory) {
    view.setUint16(to, span.offset, true);
    view.setUint16(to + 2, span.bytes.length, true);
    bytes.set(span.bytes, to + SPAN_HEADER);
    to += SPAN_HEADER + span.bytes.length;
  }
}

/** The harness's input for these cases, without the window's background. */
function encodeRequests(cases: readonly Case[]): Uint8Array {
  const sizes = cases.map(requestSize);
  const bytes = new Uint8Array(sizes.reduce((sum, size) => sum + size, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  cases.forEach((testCase, i) => {
    writeRequest(view, bytes, at, sizes[i], testCase);
    at += sizes[i];
  });
  return bytes;
}

function readOutcome(view: DataView, at: number): Outcome {
  const kind = STATUS[view.getUint8(at + RESPONSE.status)];
  if (kind !== 'exception') return { kind };
  const vector = view.getUint8(at + RESPONSE.vector);
  const outcome: Outcome = { kind, vector };
  if (hasErrorCode(vector)) outcome.errorCode = view.getUint32(at + RESPONSE.errorCode, true);
  if (vector === VECTOR_PAGE_FAULT) outcome.cr2 = view.getBigUint64(at + RESPONSE.cr2, true);
  return outcome;
}

function readResponse(view: DataView, bytes: Uint8Array, at: number): Result {
  const gpr = new BigUint64Array(16);
  for (let i = 0; i < 16; i++) gpr[i] = view.getBigUint64(at + RESPONSE.gpr + 8 * i, true);
  const memory: Span[] = [];
  let from = at + RESPONSE.spans;
  for (let left = view.getUint16(at + RESPONSE.spanCount, true); left > 0; left--) {
    const length = view.getUint16(from + 2, true);
    const start = from + SPAN_HEADER;
    memory.push({ offset: view.getUint16(from, true), bytes: bytes.slice(start, start + length) });
    from = start + length;
  }
  return {
    outcome: readOutcome(view, at),
    state: {
      gpr,
      rip: view.getBigUint64(at + RESPONSE.rip, true),
      rflags: view.getUint32(at + RESPONSE.rflags, true),
      fsBase: view.getBigUint64(at + RESPONSE.fsBase, true),
      gsBase: view.getBigUint64(at + RESPONSE.gsBase, true),
      fx: bytes.slice(at + RESPONSE.fx, at + RESPONSE.fx + FXSAVE_SIZE),
    },
    memory,
  };
}

/** Appends every complete response at the start of `bytes` to `results`; the number of bytes used. */
function readResponses(bytes: Uint8Array, results: Result[]): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 0;
  while (at + RESPONSE.spans <= bytes.length) {
    const length = view.getUint32(at + RESPONSE.length, true);
    if (at + length > bytes.length) break;
    results.push(readResponse(view, bytes, at));
    at += length;
  }
  return at;
}

/** Cases turned into requests at a time: bounds the memory of a large batch. */
const CASES_PER_WRITE = 1000;

/**
 * Runs cases natively, in order, in one harness process.
 *
 * @throws Error when the harness cannot be built, or dies (the message says after how many cases).
 */
export async function runNative(cases: readonly Case[]): Promise<Result[]> {
  const harness = spawn(await buildHarness(), { stdio: ['pipe', 'pipe', 'pipe'] });
  const results: Result[] = [];
  let errors = '';
  let rest = new Uint8Array(0);
  harness.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  harness.stdout.on('data', (chunk: Uint8Array) => {
    const bytes = new Uint8Array(rest.length + chunk.length);
    bytes.set(rest);
    bytes.set(chunk, rest.length);
    rest = bytes.slice(readResponses(bytes, results));
  });
  // A harness that dies closes its end early; the exit status below tells more than EPIPE.
  harness.stdin.on('error', () => {});
  const exit = new Promise<string>((resolve, reject) => {
    harness.on('error', reject);
    harness.on('close', (code, signal) => resolve(signal ?? `status ${code}`));
  });
  let ended = false;
  void exit.then(
    () => {
      ended = true;
    },
    () => {
      ended = true;
    },
  );
  const write = (bytes: Uint8Array): Promise<void> =>
    new Promise((resolve) => harness.stdin.write(bytes, () => resolve()));
  await write(windowBackground());
  for (let i = 0; i < cases.length && !ended; i += CASES_PER_WRITE) {
    await write(encodeRequests(cases.slice(i, i + CASES_PER_WRITE)));
  }
  harness.stdin.end();
  const how = await exit;
  if (how !== 'status 0' || results.length !== cases.length) {
    throw new Error(
      `the native harness ended with ${how} after ${results.length} of ${cases.length} cases ${errors.trim()}`,
    );
  }
  return results;
}
