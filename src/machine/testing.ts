/** Machines for tests: small multiboot kernels, a host whose time the test moves, recorded output. */
import type { Log } from '../bus/log.ts';
import type { ByteStream, EntropySource } from '../bus/streams.ts';
import { cpuModel } from '../cpu/model.ts';
import { assemble } from '../isa/assembler/index.ts';
import { type HostServices, Machine, type MachineOptions } from './machine.ts';

const KERNEL_ADDRESS = 0x10_0000;
/** Multiboot Specification 0.6.96 section 3.1.1: the header carries the load addresses. */
const HEADER_MAGIC = 0x1bad_b002;
const ADDRESSES = 0x1_0000;
const HEADER_LENGTH = 32;

/** Routines and names that every test kernel may use. */
const LIBRARY = `
  COM1 equ 0x3f8
  DEBUG_EXIT equ 0xf4
  PM1_CONTROL equ 0x604
  SLEEP_S5 equ 0x2000
  RESET_CONTROL equ 0xcf9
  STACK equ 0x80000

  ; prints the zero-terminated text at ESI on COM1
  print:
    mov dx, COM1
  print_next:
    lodsb
    test al, al
    jz print_end
    out dx, al
    jmp print_next
  print_end:
    ret
`;

/**
 * A multiboot kernel of 32-bit code at 1 MiB; it starts at its first instruction with a stack. `print`, and the names of a
 * few ports, are there.
 */
export function testKernel(code: string): Uint8Array {
  const header = [HEADER_MAGIC, ADDRESSES, -(HEADER_MAGIC + ADDRESSES) >>> 0, KERNEL_ADDRESS, KERNEL_ADDRESS, 0, 0];
  const text = `
    dd ${header.join(', ')}
    dd start
    start:
    mov esp, STACK
    ${code}
    ${LIBRARY}`;
  const { bytes } = assemble({ bits: 32, origin: KERNEL_ADDRESS }, text);
  if (bytes.length < HEADER_LENGTH) throw new Error('kernel without a header');
  return bytes;
}

/** No test takes longer. */
const MOST_TURNS = 50;

/** Nanoseconds that an instruction takes on the test's host. */
const NANOSECONDS_PER_INSTRUCTION = 20;

/** Time passes while the machine executes or sleeps, and a little with every look at the clock. */
export class TestHost implements HostServices {
  private time = 0;
  /** Nanoseconds of each sleep, and how often the host had its turn. */
  readonly sleeps: number[] = [];
  turns = 0;
  /** Called at each turn of the host and before each sleep. */
  onTurn: () => void = () => {};

  /** Instructions executed by the machine under test. */
  retired: () => number = () => 0;

  now(): number {
    this.time += 100;
    return this.time + this.retired() * NANOSECONDS_PER_INSTRUCTION;
  }
  async breathe(): Promise<void> {
    this.turns++;
    this.turn();
  }
  async sleep(nanoseconds: number): Promise<void> {
    this.sleeps.push(nanoseconds);
    this.turn();
    this.time += nanoseconds;
  }
  private turn(): void {
    this.onTurn();
    if (this.turns + this.sleeps.length > MOST_TURNS) throw new Error('the guest does not come to an end');
  }
}

/** A serial port's far end. */
export class TestStream implements ByteStream {
  private bytes: number[] = [];
  private receiver: (bytes: Uint8Array) => void = () => {};
  send(bytes: Uint8Array): void {
    this.bytes.push(...bytes);
  }
  onReceive(callback: (bytes: Uint8Array) => void): void {
    this.receiver = callback;
  }
  type(text: string): void {
    this.receiver(Uint8Array.from(text, (c) => c.charCodeAt(0)));
  }
  get text(): string {
    return String.fromCharCode(...this.bytes);
  }
}

/** Counts up: the same for every machine. */
function countingEntropy(): EntropySource {
  let next = 0;
  return {
    fill(target) {
      for (let i = 0; i < target.length; i++) target[i] = next++;
    },
  };
}

/** A machine with everything a test may look at. */
export interface TestMachine {
  readonly machine: Machine;
  readonly host: TestHost;
  readonly serial: TestStream;
  readonly log: string[];
}

const MEMORY_BYTES = 4 * 2 ** 20;

/** A machine with a virtual clock that has {@link testKernel} code loaded; it ends at a reset unless told otherwise. */
export function testMachine(code: string, options: Partial<MachineOptions> = {}): TestMachine {
  const log: string[] = [];
  const recording: Log = {
    enabled: (topic) => topic !== 'exit' && topic !== 'exception' && topic !== 'interrupt',
    write: (topic, message) => log.push(`${topic}: ${message}`),
  };
  const host = new TestHost();
  const serial = new TestStream();
  const machine = new Machine({
    memoryBytes: MEMORY_BYTES,
    model: cpuModel('amd'),
    clock: 'virtual',
    serial: [serial],
    entropy: countingEntropy(),
    log: recording,
    host,
    epochSeconds: 1_700_000_000,
    rebootOnReset: false,
    ...options,
  });
  host.retired = () => machine.retired;
  machine.loadKernel(testKernel(code), { commandLine: '' });
  return { machine, host, serial, log };
}
