/**
 * Whole guests: the images of guests/ boot in a machine of this process, carry out named steps, and power off. Time is
 * virtual, so that a run is the same on a busy host.
 */

import { readFileSync } from 'node:fs';
import { buildGuests, type Guests } from '../../guests/build.ts';
import { executable, writeCpio } from '../../guests/cpio.ts';
import { BuildError } from '../../guests/errors.ts';
import type { Log } from '../../src/bus/log.ts';
import type { BlockStore, ByteStream } from '../../src/bus/streams.ts';
import { cpuModel } from '../../src/cpu/model.ts';
import { seededEntropy } from '../../src/host/node/entropy.ts';
import { NodeHost } from '../../src/host/node/services.ts';
import { Machine, type MachineExit } from '../../src/machine/machine.ts';

/** Host seconds after which a guest is given up. */
const TIME_LIMIT = 300;
/** For the hook or test that boots: the guest must be given up first. */
export const WITHIN_LIMIT = { timeout: (TIME_LIMIT + 30) * 1000 } as const;
const MEMORY = 2 ** 30;
const EPOCH = 1_704_067_200;

/** In L1 the steps are a script of this name. */
const SCRIPT = 'steps';
const BEGIN = 'STEP ';
const END = 'STEPS-DONE';

/** The images, or why this host cannot have them. Where the project's own gate runs they must be there. */
export async function guestsOrReason(): Promise<Guests | string> {
  try {
    return await buildGuests();
  } catch (error) {
    if (!(error instanceof BuildError) || process.env.CI) throw error;
    return error.message;
  }
}

/** Commands of L1's shell by the name under which a test asks for their output. */
export type Steps = Readonly<Record<string, string>>;

export interface LinuxOptions {
  /** What {@link guestsOrReason} gave; a reason is an error. */
  readonly guests: Guests | string;
  /** More for the kernel's command line. */
  readonly append?: string;
  /** Carried out in order once L1 is ready. */
  readonly steps?: Steps;
  readonly disks?: readonly BlockStore[];
  readonly virtioConsole?: ByteStream;
  readonly exposeVirtualization?: true;
}

/** What became of a run. */
export interface LinuxRun {
  /** How it ended; `stopped` if the time limit did it. */
  readonly exit: MachineExit['kind'];
  /** All that L1 printed on its serial console. */
  readonly console: string;
  /** The lines that a step printed. */
  lines(step: string): string[];
  /** Lines that the machine logged. */
  readonly log: readonly string[];
}

/** The far end of a stream: collects what comes, and answers. */
export class FarEnd implements ByteStream {
  text = '';
  private reply: (bytes: Uint8Array) => void = () => {};
  private readonly answers: Map<string, string>;

  /** @param answers what to say as soon as the guest has said something */
  constructor(answers: Readonly<Record<string, string>> = {}) {
    this.answers = new Map(Object.entries(answers));
  }

  send(bytes: Uint8Array): void {
    this.text += Buffer.from(bytes).toString('latin1').replaceAll('\r', '');
    for (const [question, answer] of this.answers) {
      if (!this.text.includes(question)) continue;
      this.answers.delete(question);
      this.reply(Buffer.from(answer));
    }
  }

  onReceive(callback: (bytes: Uint8Array) => void): void {
    this.reply = callback;
  }
}

function scriptOf(steps: Steps): Uint8Array {
  const lines = Object.entries(steps).flatMap(([name, commands]) => [`echo "${BEGIN}${name}"`, commands]);
  return writeCpio([executable(SCRIPT, `${['#!/bin/sh', ...lines, `echo ${END}`].join('\n')}\n`)]);
}

/** Boots L1 to its end. */
export async function bootLinux(options: LinuxOptions): Promise<LinuxRun> {
  const { guests, steps, append = '' } = options;
  if (typeof guests === 'string') throw new Error(guests);
  const serial = new FarEnd();
  const lines: string[] = [];
  const log: Log = {
    enabled: (topic) => topic !== 'exit' && topic !== 'exception' && topic !== 'interrupt',
    write: (topic, message) => lines.push(`${topic}: ${message}`),
  };
  const machine = new Machine({
    memoryBytes: MEMORY,
    model: cpuModel('amd', { exposeVirtualization: options.exposeVirtualization }),
    clock: 'virtual',
    serial: [serial],
    disks: options.disks,
    virtioConsole: options.virtioConsole,
    entropy: seededEntropy(1),
    log,
    host: new NodeHost(),
    epochSeconds: EPOCH,
    rebootOnReset: false,
  });
  const initrd = readFileSync(guests.initrdL1);
  // The kernel unpacks archives that follow each other.
  const bytes = steps ? Buffer.concat([initrd, scriptOf(steps)]) : initrd;
  machine.loadKernel(readFileSync(guests.kernel), {
    commandLine: `console=ttyS0 loglevel=5 panic=-1 ${append} ${steps ? `testudo.run=/${SCRIPT}` : ''}`,
    modules: [{ bytes, commandLine: '' }],
  });
  const limit = setTimeout(() => machine.stop(), TIME_LIMIT * 1000);
  const { kind } = await machine.run();
  clearTimeout(limit);
  return {
    exit: kind,
    console: serial.text,
    log: lines,
    lines(step) {
      const [, after] = serial.text.split(`${BEGIN}${step}\n`);
      if (after === undefined) throw new Error(`the guest did not come to '${step}': ${serial.text}`);
      const [text] = after.split(new RegExp(`^(?:${BEGIN}|${END})`, 'm'), 1);
      return text.split('\n').filter((line) => line !== '');
    },
  };
}
