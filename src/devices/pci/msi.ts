/** Message signalled interrupts: MSI (PCI 3.0 section 6.8.1) and MSI-X (section 6.8.2). */

import { readDwordRegisters } from '../../bus/io-space.ts';
import type { AccessSize, MmioDevice } from '../../bus/ports.ts';
import { CAPABILITY } from './config-space.ts';
import type { PciFunction } from './model.ts';

/** MSI message control (section 6.8.1.3) and the fields of a 64-bit capability with masking, from its start. */
const MSI = {
  CONTROL: 2,
  ADDRESS: 4,
  ADDRESS_HIGH: 8,
  DATA: 12,
  MASK: 16,
  PENDING: 20,
  LENGTH: 24,
  ENABLE: 0x0001,
  MULTIPLE_CAPABLE_SHIFT: 1,
  MULTIPLE_ENABLE_SHIFT: 4,
  MULTIPLE_ENABLE: 0x0070,
  ADDRESS_64: 0x0080,
  PER_VECTOR_MASKING: 0x0100,
} as const;

/** The MSI capability of a function: up to 32 vectors, which is a power of two. Its state lives in configuration space. */
export class MsiCapability {
  readonly #member: PciFunction;
  readonly #offset: number;
  readonly #vectors: number;

  constructor(member: PciFunction, vectors: 1 | 2 | 4 | 8 | 16 | 32) {
    this.#member = member;
    this.#vectors = vectors;
    const { config } = member;
    const control = MSI.ADDRESS_64 | MSI.PER_VECTOR_MASKING | (Math.log2(vectors) << MSI.MULTIPLE_CAPABLE_SHIFT);
    this.#offset = config.addCapability(CAPABILITY.MSI, new Uint8Array(MSI.LENGTH - MSI.CONTROL));
    config.set16(this.#offset + MSI.CONTROL, control);
    config.allowWrites(this.#offset + MSI.CONTROL, 2, MSI.ENABLE | MSI.MULTIPLE_ENABLE);
    config.allowWrites(this.#offset + MSI.ADDRESS, 4, 0xffff_fffc);
    config.allowWrites(this.#offset + MSI.ADDRESS_HIGH, 4, 0xffff_ffff);
    config.allowWrites(this.#offset + MSI.DATA, 2, 0xffff);
    config.allowWrites(this.#offset + MSI.MASK, 4, 2 ** vectors - 1);
    member.observe(this.#offset + MSI.CONTROL, MSI.LENGTH - MSI.CONTROL, () => this.#sendUnmasked());
  }

  get enabled(): boolean {
    return (this.#control & MSI.ENABLE) !== 0;
  }

  /** Sends the message of a vector, or remembers it while the vector is masked. */
  send(vector: number): void {
    if (!this.enabled) return;
    const { config } = this.#member;
    const enabledVectors = Math.min(
      this.#vectors,
      1 << ((this.#control & MSI.MULTIPLE_ENABLE) >> MSI.MULTIPLE_ENABLE_SHIFT),
    );
    const number = vector % enabledVectors; // a driver granted fewer shares them
    if ((config.get32(this.#offset + MSI.MASK) >>> number) & 1) {
      config.set32(this.#offset + MSI.PENDING, (config.get32(this.#offset + MSI.PENDING) | (1 << number)) >>> 0);
      return;
    }
    const address = config.get32(this.#offset + MSI.ADDRESS_HIGH) * 2 ** 32 + config.get32(this.#offset + MSI.ADDRESS);
    const data = config.get16(this.#offset + MSI.DATA);
    this.#member.sendMessage(address, (data & ~(enabledVectors - 1)) | number);
  }

  get #control(): number {
    return this.#member.config.get16(this.#offset + MSI.CONTROL);
  }

  #sendUnmasked(): void {
    const { config } = this.#member;
    if (!this.enabled) config.set32(this.#offset + MSI.PENDING, 0);
    const ready = config.get32(this.#offset + MSI.PENDING) & ~config.get32(this.#offset + MSI.MASK);
    if (ready === 0) return;
    config.set32(this.#offset + MSI.PENDING, (config.get32(this.#offset + MSI.PENDING) & ~ready) >>> 0);
    for (let vector = 0; vector < this.#vectors; vector++) if ((ready >>> vector) & 1) this.send(vector);
  }
}

/** MSI-X message control (section 6.8.2.3), table entry (6.8.2.6 to 6.8.2.9) and limits. */
const MSIX = {
  CONTROL: 2,
  ENABLE: 0x8000,
  FUNCTION_MASK: 0x4000,
  ENTRY_LENGTH: 16,
  ENTRY_DWORDS: 4,
  VECTOR_CONTROL: 3,
  VECTOR_MASKED: 0x1,
  MAX_VECTORS: 2048,
} as const;

/** Saved state of an MSI-X table. */
export interface MsixState {
  readonly version: 1;
  readonly table: readonly number[];
  readonly pending: readonly number[];
}

/**
 * The MSI-X table and pending bits of a function. It is the register block of the BAR that holds them: the table at offset 0,
 * the pending bit array at half the BAR.
 */
export class MsixTable implements MmioDevice {
  readonly vectors: number;
  readonly #table: Uint32Array;
  readonly #pending: Uint32Array;
  readonly #pendingOffset: number;
  #member: PciFunction | undefined = undefined;
  #capability = 0;

  /** @param barSize of the BAR, at least 32 bytes for every vector */
  constructor(vectors: number, barSize: number) {
    this.#pendingOffset = barSize / 2;
    if (vectors < 1 || vectors > MSIX.MAX_VECTORS || vectors * MSIX.ENTRY_LENGTH > this.#pendingOffset) {
      throw new RangeError(`${vectors} MSI-X vectors do not fit into ${barSize} bytes`);
    }
    this.vectors = vectors;
    this.#table = new Uint32Array(vectors * MSIX.ENTRY_DWORDS);
    this.#pending = new Uint32Array(Math.ceil(vectors / 32));
    this.reset();
  }

  /** Adds the capability to the function whose BAR `bar` this is. */
  connect(member: PciFunction, bar: number): void {
    this.#member = member;
    const body = new DataView(new ArrayBuffer(10));
    body.setUint16(0, this.vectors - 1, true);
    body.setUint32(2, bar, true);
    body.setUint32(6, this.#pendingOffset | bar, true);
    this.#capability = member.config.addCapability(CAPABILITY.MSI_X, new Uint8Array(body.buffer));
    member.config.allowWrites(this.#capability + MSIX.CONTROL, 2, MSIX.ENABLE | MSIX.FUNCTION_MASK);
    member.observe(this.#capability + MSIX.CONTROL, 2, () => this.#sendUnmasked());
  }

  /** While enabled, the function must not use INTx (section 6.8.2.3). */
  get enabled(): boolean {
    return (this.#control & MSIX.ENABLE) !== 0;
  }

  /** Sends the message of a vector, or sets its pending bit while it is masked. Vectors past the table do nothing. */
  send(vector: number): void {
    if (!this.enabled || vector >= this.vectors) return;
    if (this.#isMasked(vector)) {
      this.#pending[vector >> 5] |= 1 << (vector & 31);
      return;
    }
    const [low, high, data] = this.#table.subarray(vector * MSIX.ENTRY_DWORDS, (vector + 1) * MSIX.ENTRY_DWORDS);
    this.#member?.sendMessage(high! * 2 ** 32 + low!, data!);
  }

  readMmio(offset: number, size: AccessSize): number {
    return readDwordRegisters((at) => this.#readDword(at), offset, size);
  }

  /** Only aligned 32-bit writes are defined, and 64-bit ones that arrive as two of them (section 6.8.2). */
  writeMmio(offset: number, size: AccessSize, value: number): void {
    if (size !== 4 || offset % 4 !== 0 || offset >= this.#table.length * 4) return;
    const index = offset / 4;
    this.#table[index] = index % MSIX.ENTRY_DWORDS === MSIX.VECTOR_CONTROL ? value & MSIX.VECTOR_MASKED : value;
    this.#sendUnmasked();
  }

  reset(): void {
    this.#table.fill(0);
    for (let vector = 0; vector < this.vectors; vector++) {
      this.#table[vector * MSIX.ENTRY_DWORDS + MSIX.VECTOR_CONTROL] = MSIX.VECTOR_MASKED;
    }
    this.#pending.fill(0);
  }

  save(): MsixState {
    return { version: 1, table: [...this.#table], pending: [...this.#pending] };
  }

  restore(state: MsixState): void {
    this.#table.set(state.table);
    this.#pending.set(state.pending);
  }

  get #control(): number {
    return this.#member?.config.get16(this.#capability + MSIX.CONTROL) ?? 0;
  }

  #isMasked(vector: number): boolean {
    const control = this.#table[vector * MSIX.ENTRY_DWORDS + MSIX.VECTOR_CONTROL];
    return (this.#control & MSIX.FUNCTION_MASK) !== 0 || (control & MSIX.VECTOR_MASKED) !== 0;
  }

  #readDword(offset: number): number {
    const index = offset / 4;
    if (index < this.#table.length) return this.#table[index];
    return this.#pending[(offset - this.#pendingOffset) / 4] ?? 0;
  }

  #sendUnmasked(): void {
    if (!this.enabled) return;
    for (let word = 0; word < this.#pending.length; word++) {
      for (let bit = 0; this.#pending[word] !== 0 && bit < 32; bit++) {
        const vector = word * 32 + bit;
        if (!((this.#pending[word] >>> bit) & 1) || this.#isMasked(vector)) continue;
        this.#pending[word] &= ~(1 << bit);
        this.send(vector);
      }
    }
  }
}
