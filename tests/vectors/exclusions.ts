/** Instructions that are not run natively, each with its reason. */

import type { EncodingRow } from './notation.ts';
import { opcodeNumber } from './notation.ts';

const NOT_DETERMINISTIC = 'its result is not a function of the state';
const KERNEL_ENTRY = 'enters the kernel of the host';
const DESCRIPTOR_TABLES = 'depends on the descriptor tables of the host';
const UMIP = 'the host has UMIP and its kernel emulates the instruction';
const OPERATING_SYSTEM = 'depends on what the operating system of the host enables';
const HYPERVISOR = 'would call the hypervisor under the host, or depends on EFER.SVME';
const OTHER_MEANING = 'the host has BMI1 and ABM, and decodes it as another instruction there';
const FAR = 'loads CS from the descriptor tables of the host';

/** Reason by mnemonic. */
export const EXCLUDED_MNEMONICS: Readonly<Record<string, string>> = {
  CPUID: NOT_DETERMINISTIC,
  RDTSC: NOT_DETERMINISTIC,
  RDTSCP: NOT_DETERMINISTIC,
  RDPMC: NOT_DETERMINISTIC,
  RDRAND: NOT_DETERMINISTIC,
  RDSEED: NOT_DETERMINISTIC,
  RDPID: NOT_DETERMINISTIC,
  RDPRU: NOT_DETERMINISTIC,
  SYSCALL: KERNEL_ENTRY,
  SYSENTER: KERNEL_ENTRY,
  SYSEXIT: KERNEL_ENTRY,
  SYSRET: KERNEL_ENTRY,
  INT: KERNEL_ENTRY,
  INT1: 'a virtualised host does not advance RIP past it',
  ICEBP: 'a virtualised host does not advance RIP past it',
  INT3: 'is the end of every case',
  SGDT: UMIP,
  SIDT: UMIP,
  SLDT: UMIP,
  STR: UMIP,
  SMSW: UMIP,
  LAR: DESCRIPTOR_TABLES,
  LSL: DESCRIPTOR_TABLES,
  VERR: DESCRIPTOR_TABLES,
  VERW: DESCRIPTOR_TABLES,
  LDS: DESCRIPTOR_TABLES,
  LES: DESCRIPTOR_TABLES,
  LFS: DESCRIPTOR_TABLES,
  LGS: DESCRIPTOR_TABLES,
  LSS: DESCRIPTOR_TABLES,
  IRET: FAR,
  IRETD: FAR,
  IRETQ: FAR,
  RETF: FAR,
  JMPF: FAR,
  CALLF: FAR,
  RSM: 'exists in system management mode only',
  XGETBV: OPERATING_SYSTEM,
  XSETBV: OPERATING_SYSTEM,
  XSAVE: OPERATING_SYSTEM,
  XSAVEOPT: OPERATING_SYSTEM,
  XSAVEC: OPERATING_SYSTEM,
  XSAVES: OPERATING_SYSTEM,
  XRSTOR: OPERATING_SYSTEM,
  XRSTORS: OPERATING_SYSTEM,
  IN: OPERATING_SYSTEM,
  OUT: OPERATING_SYSTEM,
  INS: OPERATING_SYSTEM,
  OUTS: OPERATING_SYSTEM,
  INSB: OPERATING_SYSTEM,
  INSW: OPERATING_SYSTEM,
  INSD: OPERATING_SYSTEM,
  OUTSB: OPERATING_SYSTEM,
  OUTSW: OPERATING_SYSTEM,
  OUTSD: OPERATING_SYSTEM,
  MONITOR: OPERATING_SYSTEM,
  MWAIT: OPERATING_SYSTEM,
  VMRUN: HYPERVISOR,
  VMLOAD: HYPERVISOR,
  VMSAVE: HYPERVISOR,
  VMMCALL: HYPERVISOR,
  VMCALL: HYPERVISOR,
  STGI: HYPERVISOR,
  CLGI: HYPERVISOR,
  SKINIT: HYPERVISOR,
  INVLPGA: HYPERVISOR,
  VMXON: HYPERVISOR,
  VMXOFF: HYPERVISOR,
  VMLAUNCH: HYPERVISOR,
  VMRESUME: HYPERVISOR,
  VMPTRLD: HYPERVISOR,
  VMPTRST: HYPERVISOR,
  VMCLEAR: HYPERVISOR,
  VMREAD: HYPERVISOR,
  VMWRITE: HYPERVISOR,
  INVEPT: HYPERVISOR,
  INVVPID: HYPERVISOR,
  VMFUNC: HYPERVISOR,
  TZCNT: OTHER_MEANING,
  LZCNT: OTHER_MEANING,
  CLZERO: 'clears a cache line whose size belongs to the host',
  FXSAVE: 'stores the MXCSR_MASK of the host',
  INVPCID: 'the order of its checks depends on CR4 of the host',
  CLAC: OPERATING_SYSTEM,
  STAC: OPERATING_SYSTEM,
};

/** PUSH, POP and MOV of segment registers, which rows may write without operands. */
const SEGMENT_OPCODES = new Set([0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x8c, 0x8e, 0x0fa0, 0x0fa1, 0x0fa8, 0x0fa9]);
/** Far JMP, CALL, RET and IRET; FF is told apart by ModRM.reg. */
const FAR_OPCODES = new Set([0x9a, 0xca, 0xcb, 0xcf, 0xea]);

/** Why a row cannot be run natively, or undefined. */
export function exclusionOf(mnemonic: string, row: EncodingRow): string | undefined {
  const reason = EXCLUDED_MNEMONICS[mnemonic];
  if (reason) return reason;
  const opcode = opcodeNumber(row);
  if ((opcode === 0x0fbc || opcode === 0x0fbd) && row.prefix === 'F3') return OTHER_MEANING;
  if (SEGMENT_OPCODES.has(opcode)) return DESCRIPTOR_TABLES;
  if (FAR_OPCODES.has(opcode) || (opcode === 0xff && (row.digit === 3 || row.digit === 5))) return FAR;
  return undefined;
}
