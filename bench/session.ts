/** One run of a system: starts it, stamps its console with the host's time and makes sure that it ends. */
import { spawn } from 'node:child_process';
import { DisturbanceMeter } from './host.ts';
import { LineSplitter, MarkerParser, type Measurement } from './markers.ts';
import type { Command } from './systems.ts';

/** How long a system may take to power off after its last line. */
const POWER_OFF_SECONDS = 15;
/** How long it may take to end after SIGTERM. */
const TERMINATION_SECONDS = 5;
const SAMPLE_INTERVAL_MS = 500;
/** Of a system's error output: enough to find a message in a stack trace. */
const ERROR_LINES_KEPT = 200;

export interface SessionResult {
  measurements: Measurement[];
  /** What went wrong, in one line. */
  problem?: string;
  /** Wall-clock seconds of the whole run. */
  seconds: number;
  /** Seconds of processor time that other programs took meanwhile, where the host tells. */
  others?: number;
}

export interface SessionEvents {
  began(name: string): void;
  measured(measurement: Measurement): void;
  /** Every line of the console. */
  line?(text: string): void;
}

/** The children that run: none may outlive this process. */
const children = new Set<number>();

function signalGroup(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal);
  } catch {
    // It has ended.
  }
}

/** The line of error output that says most: the first that is an error by its own account, else the last. */
function errorSummary(lines: readonly string[]): string {
  const line = lines.find((text) => /^\w*Error\b/.test(text)) ?? lines.at(-1);
  return line === undefined ? '' : `: ${line}`;
}

/** Ends all systems at once; for use when this program is interrupted. */
export function killSessions(): void {
  for (const child of children) signalGroup(child, 'SIGKILL');
}

/** Runs a system to its end, or until `timeoutSeconds` have passed. Never throws for what the system does. */
export function runSession(command: Command, timeoutSeconds: number, events: SessionEvents): Promise<SessionResult> {
  return new Promise((done) => {
    const start = performance.now();
    const seconds = () => (performance.now() - start) / 1000;
    // A process group of its own, so that all of it can be ended.
    const child = spawn(command.program, command.args, {
      env: { ...process.env, ...command.environment },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    const measurements: Measurement[] = [];
    if (child.pid === undefined) {
      child.on('error', (error) => done({ measurements, problem: `cannot start: ${error.message}`, seconds: 0 }));
      return;
    }
    const { pid } = child;
    children.add(pid);
    const meter = new DisturbanceMeter(pid);
    const sampler = setInterval(() => meter.sample(), SAMPLE_INTERVAL_MS);
    const parser = new MarkerParser();
    const splitter = new LineSplitter();
    let problem: string | undefined;
    let finished = false;
    const errorLines: string[] = [];
    let timer: NodeJS.Timeout | undefined;

    const endWithin = (allowed: number, reason?: string) => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        problem ??= reason;
        signalGroup(pid, 'SIGTERM');
        timer = setTimeout(() => signalGroup(pid, 'SIGKILL'), TERMINATION_SECONDS * 1000);
      }, allowed * 1000);
    };
    endWithin(timeoutSeconds, `did not end within ${timeoutSeconds} seconds`);

    child.stdout.on('data', (bytes: Buffer) => {
      const now = seconds();
      for (const text of splitter.push(bytes)) {
        events.line?.(text);
        const event = parser.read({ seconds: now, text });
        if (!event) continue;
        switch (event.kind) {
          case 'begin':
            events.began(event.name);
            break;
          case 'measured':
            measurements.push(event.measurement);
            events.measured(event.measurement);
            break;
          case 'finished':
            finished = true;
            meter.sample();
            if (event.failed) problem ??= 'a benchmark failed';
            endWithin(POWER_OFF_SECONDS);
            break;
          case 'crashed':
            problem ??= event.message;
            endWithin(0);
            break;
        }
      }
    });
    const errors = new LineSplitter();
    child.stderr.on('data', (bytes: Buffer) => {
      for (const text of errors.push(bytes)) {
        events.line?.(text);
        if (text.trim() !== '' && errorLines.length < ERROR_LINES_KEPT) errorLines.push(text.trim());
      }
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      clearInterval(sampler);
      children.delete(pid);
      if (!finished && problem === undefined) {
        problem = `ended early (${signal ?? `status ${code}`})${errorSummary(errorLines)}`;
      }
      if (problem !== undefined && parser.running !== undefined) problem = `${parser.running}: ${problem}`;
      done({ measurements, problem, seconds: seconds(), others: meter.others() });
    });
  });
}
