import type { Intercept } from './instruction.ts';

/** #VMEXIT codes of instruction intercepts (APM vol. 2 appendix C). 0x60 + n is bit n of VMCB word 0Ch, 0x80 + n of 10h, 0xA0 + n of 14h. */
export const INTERCEPT_EXIT_CODE = {
  IDTR_READ: 0x66,
  GDTR_READ: 0x67,
  LDTR_READ: 0x68,
  TR_READ: 0x69,
  IDTR_WRITE: 0x6a,
  GDTR_WRITE: 0x6b,
  LDTR_WRITE: 0x6c,
  TR_WRITE: 0x6d,
  RDTSC: 0x6e,
  RDPMC: 0x6f,
  PUSHF: 0x70,
  POPF: 0x71,
  CPUID: 0x72,
  RSM: 0x73,
  IRET: 0x74,
  SWINT: 0x75,
  INVD: 0x76,
  PAUSE: 0x77,
  HLT: 0x78,
  INVLPG: 0x79,
  INVLPGA: 0x7a,
  IOIO: 0x7b,
  MSR: 0x7c,
  VMRUN: 0x80,
  VMMCALL: 0x81,
  VMLOAD: 0x82,
  VMSAVE: 0x83,
  STGI: 0x84,
  CLGI: 0x85,
  SKINIT: 0x86,
  RDTSCP: 0x87,
  ICEBP: 0x88,
  WBINVD: 0x89,
  MONITOR: 0x8a,
  MWAIT: 0x8b,
  XSETBV: 0x8d,
  RDPRU: 0x8e,
  INVLPGB: 0xa0,
  INVPCID: 0xa2,
  MCOMMIT: 0xa3,
} as const satisfies Record<Intercept, number>;

/** First exit code of the instruction intercepts: bit 0 of the fourth intercept word (VMCB offset 0Ch). */
const FIRST_INSTRUCTION_EXIT = 0x60;
const FIRST_INSTRUCTION_WORD = 3;

/** Where an intercept's bit is: word index into the VMCB's intercept words and bit number. */
export function interceptBit(name: Intercept): { word: number; bit: number } {
  const n = INTERCEPT_EXIT_CODE[name] - FIRST_INSTRUCTION_EXIT;
  return { word: FIRST_INSTRUCTION_WORD + (n >> 5), bit: n & 31 };
}
