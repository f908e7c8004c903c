/** The x87 unit over a context: its state, the last-instruction pointers, and memory operands on their way. */
import { Vector } from '../../isa/stage.ts';
import { CONTEXT } from '../context.ts';
import type { Cpu } from '../cpu.ts';
import { fault } from '../fault.ts';
import type * as control from '../float/x87-control.ts';
import { X87State } from '../float/x87-state.ts';
import { CR0, FLAG, isProtected } from '../system/registers.ts';

/** Room for the largest image: FNSAVE with 32-bit operand size. */
const IMAGE_BYTES = 108;
export const EXTENDED_BYTES = 10;

/** One processor's x87 unit. */
export class Unit {
  readonly cpu: Cpu;
  readonly fpu: X87State;
  /** Memory operands on their way. */
  readonly image = new DataView(new ArrayBuffer(IMAGE_BYTES));
  /** Of the instruction under way. */
  address = 0n;
  operandSize: 16 | 32 = 32;

  constructor(cpu: Cpu) {
    this.cpu = cpu;
    this.fpu = new X87State(cpu.view, {
      registers: CONTEXT.x87.offset,
      control: CONTEXT.x87Control.offset,
      status: CONTEXT.x87Status.offset,
      tags: CONTEXT.x87Tag.offset,
    });
  }

  get format(): control.ImageFormat {
    const { cpu } = this;
    return { operandSize: this.operandSize, protectedMode: isProtected(cpu) && (cpu.rflags & BigInt(FLAG.VM)) === 0n };
  }

  get pointers(): control.X87Pointers {
    const { cpu } = this;
    return {
      opcode: cpu.x87Opcode,
      instructionPointer: cpu.x87Ip,
      codeSelector: cpu.x87Cs,
      dataPointer: cpu.x87Dp,
      dataSelector: cpu.x87Ds,
    };
  }

  set pointers(value: control.X87Pointers) {
    const { cpu } = this;
    cpu.x87Opcode = value.opcode;
    cpu.x87Ip = value.instructionPointer;
    cpu.x87Cs = value.codeSelector;
    cpu.x87Dp = value.dataPointer;
    cpu.x87Ds = value.dataSelector;
  }

  clearPointers(): void {
    this.pointers = { opcode: 0, instructionPointer: 0n, codeSelector: 0, dataPointer: 0n, dataSelector: 0 };
  }

  /** Checks the place of a memory operand: alignment, then its pages; of an image, the first field and then the last byte. */
  private check(bytes: number, access: 'r' | 'w'): void {
    const { cpu, address } = this;
    const alignment = bytes > EXTENDED_BYTES ? this.operandSize / 8 : Math.min(bytes, 8);
    if (BigInt.asUintN(3, address) & BigInt(alignment - 1) && checksAlignment(cpu)) throw fault(cpu, Vector.AC, 0);
    if (bytes > EXTENDED_BYTES) {
      cpu.linear.probe(address, this.operandSize / 8, access);
      cpu.linear.probe(address + BigInt(bytes - 1), 1, access);
    } else cpu.linear.probe(address, bytes, access);
  }

  /** Reads a memory image into `image`. */
  fetch(bytes: number): DataView {
    this.check(bytes, 'r');
    new Uint8Array(this.image.buffer).set(this.cpu.linear.readBytes(this.address, bytes));
    return this.image;
  }

  /** Lets `operation` fill `image` and stores that where it returns true; faults come first. */
  store(bytes: number, operation: (image: DataView) => boolean): void {
    this.check(bytes, 'w');
    if (operation(this.image)) this.cpu.linear.writeBytes(this.address, new Uint8Array(this.image.buffer, 0, bytes));
  }
}

/** Whether unaligned accesses raise #AC (SDM vol. 3A 6.15). */
function checksAlignment(cpu: Cpu): boolean {
  return cpu.cpl === 3 && (cpu.cr0 & BigInt(CR0.AM)) !== 0n && (cpu.rflags & BigInt(FLAG.AC)) !== 0n;
}

const units = new WeakMap<Cpu, Unit>();

/** The unit of a processor. */
export function unitOf(cpu: Cpu): Unit {
  let unit = units.get(cpu);
  if (!unit) {
    unit = new Unit(cpu);
    units.set(cpu, unit);
  }
  return unit;
}
