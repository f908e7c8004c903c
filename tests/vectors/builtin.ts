/**
 * A hand-written list of user-mode instructions in the rows' notation, independent of src/isa: it makes vectors where
 * the emulator has no row yet, and its x87 rows name instructions that src/isa keeps under a few common ones.
 * Widths of x87 memory operands: ss and sd are floats, t is the 80-bit format, w d q are integers.
 */
import type { InstructionRows } from './rows.ts';

const rows = (mnemonic: string, encodings: string[], more: Partial<InstructionRows> = {}): InstructionRows =>
  ({ mnemonic, encodings, ...more });
const hex = (value: number): string => value.toString(16).toUpperCase().padStart(2, '0');

const ARITHMETIC = ['ADD', 'OR', 'ADC', 'SBB', 'AND', 'SUB', 'XOR', 'CMP'].map((mnemonic, digit) => {
  const at = (low: number): string => hex(8 * digit + low);
  const lock = mnemonic === 'CMP' ? '' : ' lock';
  return rows(mnemonic, [
    `${at(0)} Eb,Gb${lock}`, `${at(1)} Ev,Gv${lock}`, `${at(2)} Gb,Eb`, `${at(3)} Gv,Ev`, `${at(4)} AL,Ib`, `${at(5)} rAX,Iz`,
    `80 /${digit} Eb,Ib${lock}`, `81 /${digit} Ev,Iz${lock}`, `83 /${digit} Ev,Ibs${lock}`, `82 /${digit} Eb,Ib no64${lock}`,
  ], { undefinedFlags: ['OR', 'AND', 'XOR'].includes(mnemonic) ? 'A' : '' });
});

const SHIFTS = ['ROL', 'ROR', 'RCL', 'RCR', 'SHL', 'SHR', 'SAL', 'SAR'].map((mnemonic, digit) => rows(mnemonic, [
  `C0 /${digit} Eb,Ib`, `C1 /${digit} Ev,Ib`, `D0 /${digit} Eb,1`, `D1 /${digit} Ev,1`, `D2 /${digit} Eb,CL`, `D3 /${digit} Ev,CL`,
]));

const BIT_TESTS = ['BT', 'BTS', 'BTR', 'BTC'].map((mnemonic, i) => {
  const lock = mnemonic === 'BT' ? '' : ' lock';
  return rows(mnemonic, [`0F ${hex(0xa3 + 8 * i)} Ev,Gv${lock}`, `0F BA /${4 + i} Ev,Ib${lock}`], { undefinedFlags: 'OSAP' });
});

const GENERAL: InstructionRows[] = [
  ...ARITHMETIC,
  ...SHIFTS,
  ...BIT_TESTS,
  rows('SHLD', ['0F A4 Ev,Gv,Ib', '0F A5 Ev,Gv,CL']),
  rows('SHRD', ['0F AC Ev,Gv,Ib', '0F AD Ev,Gv,CL']),
  rows('INC', ['40+r Zv no64', 'FE /0 Eb lock', 'FF /0 Ev lock']),
  rows('DEC', ['48+r Zv no64', 'FE /1 Eb lock', 'FF /1 Ev lock']),
  rows('NOT', ['F6 /2 Eb lock', 'F7 /2 Ev lock']),
  rows('NEG', ['F6 /3 Eb lock', 'F7 /3 Ev lock']),
  rows('TEST', ['84 Eb,Gb', '85 Ev,Gv', 'A8 AL,Ib', 'A9 rAX,Iz', 'F6 /0 Eb,Ib', 'F7 /0 Ev,Iz'], { undefinedFlags: 'A' }),
  rows('MUL', ['F6 /4 Eb', 'F7 /4 Ev'], { undefinedFlags: 'SZAP' }),
  rows('IMUL', ['F6 /5 Eb', 'F7 /5 Ev', '0F AF Gv,Ev', '69 Gv,Ev,Iz', '6B Gv,Ev,Ibs'], { undefinedFlags: 'SZAP' }),
  rows('DIV', ['F6 /6 Eb', 'F7 /6 Ev'], { undefinedFlags: 'COSZAP' }),
  rows('IDIV', ['F6 /7 Eb', 'F7 /7 Ev'], { undefinedFlags: 'COSZAP' }),
  rows('MOV', ['88 Eb,Gb', '89 Ev,Gv', '8A Gb,Eb', '8B Gv,Ev', 'A0 AL,Ob', 'A1 rAX,Ov', 'A2 Ob,AL', 'A3 Ov,rAX', 'B0+r Zb,Ib',
    'B8+r Zv,Iv', 'C6 /0 Eb,Ib', 'C7 /0 Ev,Iz']),
  rows('MOVZX', ['0F B6 Gv,Eb', '0F B7 Gv,Ew']),
  rows('MOVSX', ['0F BE Gv,Eb', '0F BF Gv,Ew']),
  rows('MOVSXD', ['63 Gv,Ed only64']),
  rows('LEA', ['8D Gv,M']),
  rows('XCHG', ['86 Eb,Gb lock', '87 Ev,Gv lock', '90+r Zv,rAX']),
  rows('XADD', ['0F C0 Eb,Gb lock', '0F C1 Ev,Gv lock']),
  rows('CMPXCHG', ['0F B0 Eb,Gb lock', '0F B1 Ev,Gv lock']),
  rows('CMPXCHG8B', ['W0 0F C7 /1 Mq lock']),
  rows('CMPXCHG16B', ['W1 0F C7 /1 Mdq lock']),
  rows('BSF', ['0F BC Gv,Ev'], { undefinedFlags: 'COSAP' }),
  rows('BSR', ['0F BD Gv,Ev'], { undefinedFlags: 'COSAP' }),
  rows('POPCNT', ['F3 0F B8 Gv,Ev']),
  rows('CRC32', ['F2 0F 38 F0 Gy,Eb', 'F2 0F 38 F1 Gy,Ev']),
  rows('BSWAP', ['W0 0F C8+r Zd', 'W1 0F C8+r Zq']),
  rows('CMOVcc', ['0F 40+cc Gv,Ev']),
  rows('SETcc', ['0F 90+cc Eb']),
  rows('Jcc', ['70+cc Jb f64', '0F 80+cc Jz f64']),
  rows('JMP', ['EB Jb f64', 'E9 Jz f64', 'FF /4 Ev f64']),
  rows('CALL', ['E8 Jz f64', 'FF /2 Ev f64']),
  rows('RET', ['C3 f64', 'C2 Iw f64']),
  rows('LOOP', ['E0 Jb f64', 'E1 Jb f64', 'E2 Jb f64']),
  rows('JRCXZ', ['E3 Jb f64']),
  rows('PUSH', ['50+r Zv d64', '68 Iz d64', '6A Ibs d64', 'FF /6 Ev d64']),
  rows('POP', ['58+r Zv d64', '8F /0 Ev d64']),
  rows('PUSHA', ['60 no64']),
  rows('POPA', ['61 no64']),
  rows('PUSHF', ['9C d64']),
  rows('POPF', ['9D d64']),
  rows('ENTER', ['C8 Iw,Ib d64']),
  rows('LEAVE', ['C9 d64']),
  rows('MOVS', ['A4 rep', 'A5 rep os']),
  rows('CMPS', ['A6 rep', 'A7 rep os']),
  rows('STOS', ['AA rep', 'AB rep os']),
  rows('LODS', ['AC rep', 'AD rep os']),
  rows('SCAS', ['AE rep', 'AF rep os']),
  rows('CBW', ['98 os']),
  rows('CWD', ['99 os']),
  rows('XLAT', ['D7']),
  rows('LAHF', ['9F']),
  rows('SAHF', ['9E']),
  rows('CLC', ['F8']), rows('STC', ['F9']), rows('CMC', ['F5']), rows('CLD', ['FC']), rows('STD', ['FD']),
  rows('DAA', ['27 no64'], { undefinedFlags: 'O' }),
  rows('DAS', ['2F no64'], { undefinedFlags: 'O' }),
  rows('AAA', ['37 no64'], { undefinedFlags: 'OSZP' }),
  rows('AAS', ['3F no64'], { undefinedFlags: 'OSZP' }),
  rows('AAM', ['D4 Ib no64'], { undefinedFlags: 'OAC' }),
  rows('AAD', ['D5 Ib no64'], { undefinedFlags: 'OAC' }),
  rows('SALC', ['D6 no64']),
  rows('BOUND', ['62 Gv,M no64']),
  rows('INTO', ['CE no64']),
  rows('ARPL', ['63 Ew,Gw no64']),
  rows('NOP', ['90 norexb', '0F 1F /0 Ev', 'F3 90']),
  rows('PREFETCH', ['0F 18 /0 Mb', '0F 18 /1 Mb', '0F 18 /2 Mb', '0F 18 /3 Mb', '0F 0D /1 Mb']),
  rows('MOVNTI', ['NP 0F C3 My,Gy']),
  rows('MFENCE', ['NP 0F AE (E8)', 'NP 0F AE (F0)', 'NP 0F AE (F8)']),
  rows('CLFLUSH', ['NP 0F AE /7 Mb']),
  rows('RDFSBASE', ['F3 0F AE /0 Ry only64', 'F3 0F AE /1 Ry only64']),
  rows('WRFSBASE', ['F3 0F AE /2 Ry only64', 'F3 0F AE /3 Ry only64']),
  rows('UD2', ['0F 0B']),
  rows('HLT', ['F4 cpl0']), rows('CLI', ['FA']), rows('STI', ['FB']), rows('CLTS', ['0F 06 cpl0']),
  rows('INVD', ['0F 08 cpl0']), rows('WBINVD', ['0F 09 cpl0']), rows('RDMSR', ['0F 32 cpl0']), rows('WRMSR', ['0F 30 cpl0']),
  rows('LGDT', ['0F 01 /2 M cpl0']), rows('LIDT', ['0F 01 /3 M cpl0']), rows('INVLPG', ['0F 01 /7 M cpl0']),
  rows('LMSW', ['0F 01 /6 Ew cpl0']), rows('LLDT', ['0F 00 /2 Ew cpl0']), rows('LTR', ['0F 00 /3 Ew cpl0']),
];

/** Packed operations in the four SSE forms: name stem and opcode. */
const PACKED_SCALAR = { ADD: 0x58, MUL: 0x59, SUB: 0x5c, MIN: 0x5d, DIV: 0x5e, MAX: 0x5f, SQRT: 0x51 } as const;
const sse = (mnemonic: string, ...encodings: string[]): InstructionRows => rows(mnemonic, encodings, { unit: 'sse' });

const SSE_FLOAT: InstructionRows[] = [
  ...Object.entries(PACKED_SCALAR).flatMap(([stem, opcode]) => [
    sse(`${stem}PS`, `NP 0F ${hex(opcode)} Vps,Wps`), sse(`${stem}SS`, `F3 0F ${hex(opcode)} Vss,Wss`),
    sse(`${stem}PD`, `66 0F ${hex(opcode)} Vpd,Wpd`), sse(`${stem}SD`, `F2 0F ${hex(opcode)} Vsd,Wsd`),
  ]),
  ...[['AND', '54'], ['ANDN', '55'], ['OR', '56'], ['XOR', '57'], ['UNPCKL', '14'], ['UNPCKH', '15']].flatMap(([stem, opcode]) => [
    sse(`${stem}PS`, `NP 0F ${opcode} Vps,Wps`), sse(`${stem}PD`, `66 0F ${opcode} Vpd,Wpd`),
  ]),
  sse('CMPPS', 'NP 0F C2 Vps,Wps,Ib'), sse('CMPSS', 'F3 0F C2 Vss,Wss,Ib'),
  sse('CMPPD', '66 0F C2 Vpd,Wpd,Ib'), sse('CMPSD', 'F2 0F C2 Vsd,Wsd,Ib'),
  sse('COMISS', 'NP 0F 2F Vss,Wss'), sse('UCOMISS', 'NP 0F 2E Vss,Wss'),
  sse('COMISD', '66 0F 2F Vsd,Wsd'), sse('UCOMISD', '66 0F 2E Vsd,Wsd'),
  sse('RCPPS', 'NP 0F 53 Vps,Wps'), sse('RCPSS', 'F3 0F 53 Vss,Wss'),
  sse('RSQRTPS', 'NP 0F 52 Vps,Wps'), sse('RSQRTSS', 'F3 0F 52 Vss,Wss'),
  sse('SHUFPS', 'NP 0F C6 Vps,Wps,Ib'), sse('SHUFPD', '66 0F C6 Vpd,Wpd,Ib'),
  sse('CVTPI2PS', 'NP 0F 2A Vps,Qq'), sse('CVTPI2PD', '66 0F 2A Vpd,Qq'),
  sse('CVTPS2PI', 'NP 0F 2D Pq,Wps'), sse('CVTTPS2PI', 'NP 0F 2C Pq,Wps'),
  sse('CVTPD2PI', '66 0F 2D Pq,Wpd'), sse('CVTTPD2PI', '66 0F 2C Pq,Wpd'),
  sse('CVTSI2SS', 'F3 0F 2A Vss,Ey'), sse('CVTSI2SD', 'F2 0F 2A Vsd,Ey'),
  sse('CVTSS2SI', 'F3 0F 2D Gy,Wss'), sse('CVTTSS2SI', 'F3 0F 2C Gy,Wss'),
  sse('CVTSD2SI', 'F2 0F 2D Gy,Wsd'), sse('CVTTSD2SI', 'F2 0F 2C Gy,Wsd'),
  sse('CVTPS2PD', 'NP 0F 5A Vpd,Wps'), sse('CVTPD2PS', '66 0F 5A Vps,Wpd'),
  sse('CVTSS2SD', 'F3 0F 5A Vsd,Wss'), sse('CVTSD2SS', 'F2 0F 5A Vss,Wsd'),
  sse('CVTDQ2PS', 'NP 0F 5B Vps,Wdq'), sse('CVTPS2DQ', '66 0F 5B Vdq,Wps'), sse('CVTTPS2DQ', 'F3 0F 5B Vdq,Wps'),
  sse('CVTDQ2PD', 'F3 0F E6 Vpd,Wdq'), sse('CVTPD2DQ', 'F2 0F E6 Vdq,Wpd'), sse('CVTTPD2DQ', '66 0F E6 Vdq,Wpd'),
  sse('HADDPS', 'F2 0F 7C Vps,Wps'), sse('HADDPD', '66 0F 7C Vpd,Wpd'),
  sse('HSUBPS', 'F2 0F 7D Vps,Wps'), sse('HSUBPD', '66 0F 7D Vpd,Wpd'),
  sse('ADDSUBPS', 'F2 0F D0 Vps,Wps'), sse('ADDSUBPD', '66 0F D0 Vpd,Wpd'),
  sse('ROUNDPS', '66 0F 3A 08 Vps,Wps,Ib'), sse('ROUNDPD', '66 0F 3A 09 Vpd,Wpd,Ib'),
  sse('ROUNDSS', '66 0F 3A 0A Vss,Wss,Ib'), sse('ROUNDSD', '66 0F 3A 0B Vsd,Wsd,Ib'),
  sse('DPPS', '66 0F 3A 40 Vps,Wps,Ib'), sse('DPPD', '66 0F 3A 41 Vpd,Wpd,Ib'),
  sse('BLENDPS', '66 0F 3A 0C Vps,Wps,Ib'), sse('BLENDPD', '66 0F 3A 0D Vpd,Wpd,Ib'),
  sse('BLENDVPS', '66 0F 38 14 Vps,Wps'), sse('BLENDVPD', '66 0F 38 15 Vpd,Wpd'),
  sse('LDMXCSR', 'NP 0F AE /2 Md'), sse('STMXCSR', 'NP 0F AE /3 Md'), sse('FXRSTOR', 'NP 0F AE /1 M'),
];

const SSE_MOVES: InstructionRows[] = [
  sse('MOVUPS', 'NP 0F 10 Vps,Wps', 'NP 0F 11 Wps,Vps'), sse('MOVUPD', '66 0F 10 Vpd,Wpd', '66 0F 11 Wpd,Vpd'),
  sse('MOVSS', 'F3 0F 10 Vss,Wss', 'F3 0F 11 Wss,Vss'), sse('MOVSD', 'F2 0F 10 Vsd,Wsd', 'F2 0F 11 Wsd,Vsd'),
  sse('MOVAPS', 'NP 0F 28 Vps,Wps', 'NP 0F 29 Wps,Vps'), sse('MOVAPD', '66 0F 28 Vpd,Wpd', '66 0F 29 Wpd,Vpd'),
  sse('MOVDQA', '66 0F 6F Vdq,Wdq', '66 0F 7F Wdq,Vdq'), sse('MOVDQU', 'F3 0F 6F Vdq,Wdq', 'F3 0F 7F Wdq,Vdq'),
  sse('MOVLPS', 'NP 0F 12 Vdq,Mq', 'NP 0F 13 Mq,Vdq'), sse('MOVHLPS', 'NP 0F 12 Vdq,Udq'),
  sse('MOVHPS', 'NP 0F 16 Vdq,Mq', 'NP 0F 17 Mq,Vdq'), sse('MOVLHPS', 'NP 0F 16 Vdq,Udq'),
  sse('MOVLPD', '66 0F 12 Vdq,Mq', '66 0F 13 Mq,Vdq'), sse('MOVHPD', '66 0F 16 Vdq,Mq', '66 0F 17 Mq,Vdq'),
  sse('MOVDDUP', 'F2 0F 12 Vpd,Wsd'), sse('MOVSLDUP', 'F3 0F 12 Vps,Wps'), sse('MOVSHDUP', 'F3 0F 16 Vps,Wps'),
  sse('MOVMSKPS', 'NP 0F 50 Gd,Ups'), sse('MOVMSKPD', '66 0F 50 Gd,Upd'), sse('PMOVMSKB', '66 0F D7 Gd,Udq'),
  sse('MOVD', '66 0F 6E Vdq,Ey', '66 0F 7E Ey,Vdq'), sse('MOVQ', 'F3 0F 7E Vdq,Wq', '66 0F D6 Wq,Vdq'),
  sse('MOVNTPS', 'NP 0F 2B Mps,Vps'), sse('MOVNTPD', '66 0F 2B Mpd,Vpd'), sse('MOVNTDQ', '66 0F E7 Mdq,Vdq'),
  sse('MOVNTDQA', '66 0F 38 2A Vdq,Mdq'), sse('LDDQU', 'F2 0F F0 Vdq,Mdq'), sse('MASKMOVDQU', '66 0F F7 Vdq,Udq'),
  sse('MOVQ2DQ', 'F3 0F D6 Vdq,Nq'), sse('MOVDQ2Q', 'F2 0F D6 Pq,Udq'),
  sse('PINSRW', '66 0F C4 Vdq,Ed,Ib'), sse('PEXTRW', '66 0F C5 Gd,Udq,Ib', '66 0F 3A 15 Ed,Vdq,Ib'),
  sse('PINSRB', '66 0F 3A 20 Vdq,Ed,Ib'), sse('PINSRD', '66 0F 3A 22 Vdq,Ey,Ib'), sse('INSERTPS', '66 0F 3A 21 Vdq,Wss,Ib'),
  sse('PEXTRB', '66 0F 3A 14 Ed,Vdq,Ib'), sse('PEXTRD', '66 0F 3A 16 Ey,Vdq,Ib'), sse('EXTRACTPS', '66 0F 3A 17 Ed,Vps,Ib'),
  sse('PSHUFD', '66 0F 70 Vdq,Wdq,Ib'), sse('PSHUFLW', 'F2 0F 70 Vdq,Wdq,Ib'), sse('PSHUFHW', 'F3 0F 70 Vdq,Wdq,Ib'),
];

/** Integer operations that exist for MMX (no prefix) and XMM (66) registers: 0F opcodes. */
const MMX_AND_XMM: Record<string, number> = {
  PUNPCKLBW: 0x60, PUNPCKLWD: 0x61, PUNPCKLDQ: 0x62, PACKSSWB: 0x63, PCMPGTB: 0x64, PCMPGTW: 0x65, PCMPGTD: 0x66,
  PACKUSWB: 0x67, PUNPCKHBW: 0x68, PUNPCKHWD: 0x69, PUNPCKHDQ: 0x6a, PACKSSDW: 0x6b, PCMPEQB: 0x74, PCMPEQW: 0x75,
  PCMPEQD: 0x76, PSRLW: 0xd1, PSRLD: 0xd2, PSRLQ: 0xd3, PADDQ: 0xd4, PMULLW: 0xd5, PSUBUSB: 0xd8, PSUBUSW: 0xd9, PMINUB: 0xda,
  PAND: 0xdb, PADDUSB: 0xdc, PADDUSW: 0xdd, PMAXUB: 0xde, PANDN: 0xdf, PAVGB: 0xe0, PSRAW: 0xe1, PSRAD: 0xe2, PAVGW: 0xe3,
  PMULHUW: 0xe4, PMULHW: 0xe5, PSUBSB: 0xe8, PSUBSW: 0xe9, PMINSW: 0xea, POR: 0xeb, PADDSB: 0xec, PADDSW: 0xed, PMAXSW: 0xee,
  PXOR: 0xef, PSLLW: 0xf1, PSLLD: 0xf2, PSLLQ: 0xf3, PMULUDQ: 0xf4, PMADDWD: 0xf5, PSADBW: 0xf6, PSUBB: 0xf8, PSUBW: 0xf9,
  PSUBD: 0xfa, PSUBQ: 0xfb, PADDB: 0xfc, PADDW: 0xfd, PADDD: 0xfe,
};
/** The same for the 0F 38 map (SSSE3). */
const SSSE3: Record<string, number> = {
  PSHUFB: 0x00, PHADDW: 0x01, PHADDD: 0x02, PHADDSW: 0x03, PMADDUBSW: 0x04, PHSUBW: 0x05, PHSUBD: 0x06, PHSUBSW: 0x07,
  PSIGNB: 0x08, PSIGNW: 0x09, PSIGND: 0x0a, PMULHRSW: 0x0b, PABSB: 0x1c, PABSW: 0x1d, PABSD: 0x1e,
};
/** XMM only, 66 0F 38 (SSE4.1, SSE4.2). */
const SSE4: Record<string, number> = {
  PBLENDVB: 0x10, PTEST: 0x17, PMULDQ: 0x28, PCMPEQQ: 0x29, PACKUSDW: 0x2b, PCMPGTQ: 0x37, PMINSB: 0x38, PMINSD: 0x39,
  PMINUW: 0x3a, PMINUD: 0x3b, PMAXSB: 0x3c, PMAXSD: 0x3d, PMAXUW: 0x3e, PMAXUD: 0x3f, PMULLD: 0x40, PHMINPOSUW: 0x41,
};
/** Sign- and zero-extending moves: source width in the row's notation. */
const EXTENDING: [string, number, string][] = [
  ['BW', 0, 'q'], ['BD', 1, 'd'], ['BQ', 2, 'w'], ['WD', 3, 'q'], ['WQ', 4, 'd'], ['DQ', 5, 'q'],
];
/** Shifts by an immediate: opcode and ModRM.reg. */
const IMMEDIATE_SHIFTS: [string, number, number][] = [
  ['PSRLW', 0x71, 2], ['PSRAW', 0x71, 4], ['PSLLW', 0x71, 6], ['PSRLD', 0x72, 2], ['PSRAD', 0x72, 4], ['PSLLD', 0x72, 6],
  ['PSRLQ', 0x73, 2], ['PSLLQ', 0x73, 6],
];
const mmx = (mnemonic: string, ...encodings: string[]): InstructionRows => rows(mnemonic, encodings, { unit: 'mmx' });

const INTEGER_VECTORS: InstructionRows[] = [
  ...Object.entries(MMX_AND_XMM).flatMap(([mnemonic, opcode]) => [
    mmx(mnemonic, `NP 0F ${hex(opcode)} Pq,Qq`), sse(mnemonic, `66 0F ${hex(opcode)} Vdq,Wdq`),
  ]),
  ...Object.entries(SSSE3).flatMap(([mnemonic, opcode]) => [
    mmx(mnemonic, `NP 0F 38 ${hex(opcode)} Pq,Qq`), sse(mnemonic, `66 0F 38 ${hex(opcode)} Vdq,Wdq`),
  ]),
  ...Object.entries(SSE4).map(([mnemonic, opcode]) => sse(mnemonic, `66 0F 38 ${hex(opcode)} Vdq,Wdq`)),
  ...EXTENDING.flatMap(([stem, low, width]) => [
    sse(`PMOVSX${stem}`, `66 0F 38 ${hex(0x20 + low)} Vdq,W${width}`), sse(`PMOVZX${stem}`, `66 0F 38 ${hex(0x30 + low)} Vdq,W${width}`),
  ]),
  ...IMMEDIATE_SHIFTS.flatMap(([mnemonic, opcode, digit]) => [
    mmx(mnemonic, `NP 0F ${hex(opcode)} /${digit} Nq,Ib`), sse(mnemonic, `66 0F ${hex(opcode)} /${digit} Udq,Ib`),
  ]),
  sse('PSRLDQ', '66 0F 73 /3 Udq,Ib'), sse('PSLLDQ', '66 0F 73 /7 Udq,Ib'),
  sse('PUNPCKLQDQ', '66 0F 6C Vdq,Wdq'), sse('PUNPCKHQDQ', '66 0F 6D Vdq,Wdq'),
  sse('PALIGNR', '66 0F 3A 0F Vdq,Wdq,Ib'), mmx('PALIGNR', 'NP 0F 3A 0F Pq,Qq,Ib'),
  sse('PBLENDW', '66 0F 3A 0E Vdq,Wdq,Ib'), sse('MPSADBW', '66 0F 3A 42 Vdq,Wdq,Ib'),
  sse('PCMPESTRM', '66 0F 3A 60 Vdq,Wdq,Ib'), sse('PCMPESTRI', '66 0F 3A 61 Vdq,Wdq,Ib'),
  sse('PCMPISTRM', '66 0F 3A 62 Vdq,Wdq,Ib'), sse('PCMPISTRI', '66 0F 3A 63 Vdq,Wdq,Ib'),
  mmx('MOVD', 'NP 0F 6E Pq,Ey', 'NP 0F 7E Ey,Pq'), mmx('MOVQ', 'NP 0F 6F Pq,Qq', 'NP 0F 7F Qq,Pq'),
  mmx('MOVNTQ', 'NP 0F E7 Mq,Pq'), mmx('MASKMOVQ', 'NP 0F F7 Pq,Nq'), mmx('PSHUFW', 'NP 0F 70 Pq,Qq,Ib'),
  mmx('PINSRW', 'NP 0F C4 Pq,Ed,Ib'), mmx('PEXTRW', 'NP 0F C5 Gd,Nq,Ib'), mmx('PMOVMSKB', 'NP 0F D7 Gd,Nq'), mmx('EMMS', 'NP 0F 77'),
];

const x87 = (mnemonic: string, ...encodings: string[]): InstructionRows => rows(mnemonic, encodings, { unit: 'x87' });
/** Arithmetic by ModRM.reg of D8 and DC; register forms of DC and DE have the reversed operations swapped. */
const X87_ARITHMETIC = ['FADD', 'FMUL', 'FCOM', 'FCOMP', 'FSUB', 'FSUBR', 'FDIV', 'FDIVR'].map((mnemonic, digit) => {
  const swapped = digit >= 4 ? digit ^ 1 : digit;
  const compare = digit === 2 || digit === 3;
  return x87(mnemonic, `D8 /${digit} Mss`, `DC /${digit} Msd`, `D8 (${hex(0xc0 + 8 * digit)}+i)`,
    ...(compare ? [] : [`DC (${hex(0xc0 + 8 * swapped)}+i)`, `DE (${hex(0xc0 + 8 * swapped)}+i)`]),
    `DA /${digit} Md`, `DE /${digit} Mw`);
});
/** D9 forms without operands. */
const X87_CONSTANT_FORMS: Record<string, number> = {
  FNOP: 0xd0, FCHS: 0xe0, FABS: 0xe1, FTST: 0xe4, FXAM: 0xe5, FLD1: 0xe8, FLDL2T: 0xe9, FLDL2E: 0xea, FLDPI: 0xeb, FLDLG2: 0xec,
  FLDLN2: 0xed, FLDZ: 0xee, F2XM1: 0xf0, FYL2X: 0xf1, FPTAN: 0xf2, FPATAN: 0xf3, FXTRACT: 0xf4, FPREM1: 0xf5, FDECSTP: 0xf6,
  FINCSTP: 0xf7, FPREM: 0xf8, FYL2XP1: 0xf9, FSQRT: 0xfa, FSINCOS: 0xfb, FRNDINT: 0xfc, FSCALE: 0xfd, FSIN: 0xfe, FCOS: 0xff,
};

const X87: InstructionRows[] = [
  ...X87_ARITHMETIC,
  ...Object.entries(X87_CONSTANT_FORMS).map(([mnemonic, modrm]) => x87(mnemonic, `D9 (${hex(modrm)})`)),
  x87('FLD', 'D9 /0 Mss', 'DD /0 Msd', 'DB /5 Mt', 'D9 (C0+i)'),
  x87('FST', 'D9 /2 Mss', 'DD /2 Msd', 'DD (D0+i)'),
  x87('FSTP', 'D9 /3 Mss', 'DD /3 Msd', 'DB /7 Mt', 'DD (D8+i)'),
  x87('FILD', 'DB /0 Md', 'DF /0 Mw', 'DF /5 Mq'),
  x87('FIST', 'DB /2 Md', 'DF /2 Mw'),
  x87('FISTP', 'DB /3 Md', 'DF /3 Mw', 'DF /7 Mq'),
  x87('FISTTP', 'DB /1 Md', 'DF /1 Mw', 'DD /1 Mq'),
  x87('FBLD', 'DF /4 Mt'),
  x87('FBSTP', 'DF /6 Mt'),
  x87('FXCH', 'D9 (C8+i)'),
  x87('FCOMPP', 'DE (D9)'),
  x87('FUCOM', 'DD (E0+i)'), x87('FUCOMP', 'DD (E8+i)'), x87('FUCOMPP', 'DA (E9)'),
  x87('FCOMI', 'DB (F0+i)'), x87('FCOMIP', 'DF (F0+i)'), x87('FUCOMI', 'DB (E8+i)'), x87('FUCOMIP', 'DF (E8+i)'),
  x87('FCMOVcc', ...['DA', 'DB'].flatMap((first) => ['C0', 'C8', 'D0', 'D8'].map((modrm) => `${first} (${modrm}+i)`))),
  x87('FFREE', 'DD (C0+i)'),
  x87('FNINIT', 'DB (E3)'), x87('FNCLEX', 'DB (E2)'), x87('FWAIT', '9B'),
  x87('FLDCW', 'D9 /5 Mw'), x87('FNSTCW', 'D9 /7 Mw'), x87('FNSTSW', 'DD /7 Mw', 'DF (E0)'),
  x87('FLDENV', 'D9 /4 M'), x87('FNSTENV', 'D9 /6 M'), x87('FRSTOR', 'DD /4 M'), x87('FNSAVE', 'DD /6 M'),
];

/** Every row of this file. */
export const BUILTIN: readonly InstructionRows[] = [...GENERAL, ...SSE_FLOAT, ...SSE_MOVES, ...INTEGER_VECTORS, ...X87];
