/** Parts of programs other than plain instructions: code that changes, tables that change, system instructions, devices. */
import { CR0, CR4 } from '../../src/cpu/system/registers.ts';
import type { Random } from '../vectors/random.ts';
import type { Emitter } from './emitter.ts';
import {
  ALTERNATIVES,
  CODE_PAGES,
  CONSTANTS,
  DATA_PAGE,
  type Flavour,
  type Layout,
  PAGE,
  SLOT_BYTES,
  VECTOR,
} from './flavours.ts';
import type { World } from './image.ts';
import { type InstructionSource, pageOffset } from './instructions.ts';

/** Bits of a paging-structure entry. */
const PRESENT = 1;
const WRITABLE = 2;
const ACCESSED_DIRTY = 0x60;

const RBX = 3;
const RDX = 2;
const RDI = 7;

/** What pieces need to know of the program they are part of. */
export interface PieceContext extends InstructionSource {
  readonly random: Random;
  readonly flavour: Flavour;
  readonly layout: Layout;
  readonly emitter: Emitter;
  readonly world: World;
  /** Labels of slots, placed or to be placed. */
  readonly slots: readonly string[];
  /** A label that no one else has. */
  freshLabel(): string;
}

/** Offset from the data segment's base of a place in the page of constants. */
export function constant({ layout }: { layout: Layout }, offset: number): number {
  return layout.data - layout.dsBase + PAGE * DATA_PAGE.CONSTANTS + offset;
}

/** Prefix of operands that reach code: 16- and 32-bit programs have a flat segment in FS (in real-address mode, the code's). */
const codeSegment = ({ bits }: Flavour): string => (bits === 64 ? '' : 'fs:');
/** Width of pointers as a register name's family. */
const names = ({ bits }: Flavour) =>
  bits === 64
    ? { a: 'rax', b: 'rbx', d: 'rdx', di: 'rdi', sp: 'rsp', word: 'qword' }
    : { a: 'eax', b: 'ebx', d: 'edx', di: 'edi', sp: 'esp', word: 'dword' };

/** Points RDI into code, through its own mapping or the writable one. */
function pointToCode(context: PieceContext, label: string, addend = 0): void {
  const { random, flavour, layout, emitter } = context;
  if (flavour.levels === 0) {
    emitter.address(RDI, label, addend);
    emitter.text('movzx edi, di');
    return;
  }
  const space = random.oneIn(2) ? layout.code : layout.alias;
  // 16-bit code loads 16 bits only: the rest of the address behind it
  if (flavour.bits === 16) {
    emitter.address(RDI, label, addend);
    emitter.text('movzx edi, di');
    emitter.text(`add edi, ${space}`);
  } else emitter.address(RDI, label, addend + space);
}

/** A slot: 8 bytes of code that other pieces exchange or spoil. */
export function emitSlot({ emitter }: PieceContext, label: string, first: Uint8Array): void {
  emitter.label(label);
  emitter.emit(first);
}

/** Writes to a slot, in one of many ways. */
export function emitPatch(context: PieceContext, slot: number): void {
  const { random, flavour, emitter, slots } = context;
  const { a, b, di, sp, word } = names(flavour);
  const fs = codeSegment(flavour);
  const source = constant(context, CONSTANTS.SLOTS + SLOT_BYTES * (ALTERNATIVES * slot + random.below(ALTERNATIVES)));
  pointToCode(context, slots[slot]);
  const byte = random.below(SLOT_BYTES);
  switch (random.below(12)) {
    case 0:
    case 1:
    case 2:
      if (flavour.bits === 64) emitter.text(`mov rax, [${source}]\nmov [rdi], rax`);
      else emitter.text(`mov eax, [${source}]\nmov ${fs}[edi], eax\nmov eax, [${source + 4}]\nmov ${fs}[edi+4], eax`);
      return;
    case 3:
      emitter.text(`movq xmm3, [${source}]\nmovq ${fs}[${di}], xmm3`);
      return;
    case 4:
      emitter.text(`inc byte ptr ${fs}[${di}+${byte}]`);
      return;
    case 5:
      emitter.text(`xor byte ptr ${fs}[${di}+${byte}], ${1 << random.below(8)}`);
      return;
    case 6:
      emitter.text(`mov ${a}, [${source}]\nxchg ${fs}[${di}], ${a}`);
      return;
    case 7:
      // the same bytes: no change, but a write
      emitter.text(`movups xmm2, ${fs}[${di}-4]\nmovups ${fs}[${di}-4], xmm2`);
      return;
    case 8:
      if (flavour.bits === 16) emitter.text(`mov al, ${fs}[edi]\nmov ${fs}[edi], al`);
      else
        emitter.text(
          `mov ${b}, ${sp}\nmov ${a}, [${source}]\nlea ${sp}, [${di}+${flavour.bits / 8}]\npush ${a}\nmov ${sp}, ${b}`,
        );
      return;
    case 9:
      emitter.text(`fld qword ptr [${source}]\nfstp qword ptr ${fs}[${di}]`);
      return;
    case 10:
      if (flavour.bits === 16) emitter.text(`lock dec byte ptr ${fs}[edi+${byte}]`);
      else {
        emitter.load(6, BigInt(source));
        emitter.load(1, BigInt(SLOT_BYTES));
        // ES has the data segment's base
        if (context.layout.dsBase !== 0) emitter.text(`sub edi, ${context.layout.dsBase}`);
        emitter.text('cld\nrep movsb');
      }
      return;
    default:
      emitter.text(`mov ${word} ptr ${fs}[${di}+${byte & 3}], ${random.bits32() >>> 1}`);
  }
}

/** Data amid code: a counter that is jumped over, close to instructions or not. */
export function emitCodeData(context: PieceContext): void {
  const { random, flavour, emitter } = context;
  const label = context.freshLabel();
  const behind = context.freshLabel();
  const { di } = names(flavour);
  pointToCode(context, label);
  emitter.text(
    `${random.pick(['inc', 'add', 'mov', 'neg'])} dword ptr ${codeSegment(flavour)}[${di}]`.replace(
      /^(add|mov) (.*)$/,
      '$1 $2, 5',
    ),
  );
  emitter.jump(behind, true);
  emitter.label(label);
  emitter.emit(random.bytes(4));
  if (random.oneIn(3)) emitter.emit(new Uint8Array(random.below(100)).fill(0xcc));
  emitter.label(behind);
}

/** Accesses around the end of a page, all through one register: what was found out about one page must not serve another. */
export function emitNeighbours(context: PieceContext): void {
  const { random, flavour, emitter } = context;
  const { di } = names(flavour);
  const end = PAGE + pageOffset(context.layout, random.pick(['FIRST', 'SECOND'] as const));
  emitter.load(RDI, BigInt(end));
  for (let n = 3 + random.below(5); n > 0; n--) {
    const place = `[${di}${random.oneIn(3) ? '+' : '-'}${random.below(random.oneIn(3) ? 64 : 16)}]`;
    emitter.text(
      random.pick([
        `mov eax, ${place}`,
        `mov ${place}, ecx`,
        `add edx, ${place}`,
        `movzx ebx, byte ptr ${place}`,
        `mov ${place}, dx`,
        `xor word ptr ${place}, ax`,
        `inc byte ptr ${place}`,
        `push word ptr ${place}`,
        `movq xmm1, ${place}`,
        `movups xmm2, ${place}`,
        `movq ${place}, xmm1`,
        `movups ${place}, xmm2`,
        ...(flavour.bits === 64 ? [`mov rbx, ${place}`, `mov ${place}, rdx`, `sub ${place}, rcx`] : []),
      ]),
    );
    if (random.oneIn(3)) emitter.text(`${random.pick(['inc', 'dec'])} ${di}`);
  }
}

/** Reads or writes the device's page: the processor must be exact there. */
export function emitDevice(context: PieceContext): void {
  const { random, flavour, layout, emitter } = context;
  const offset = random.below(PAGE / 8) * (random.oneIn(4) ? 1 : 8);
  let operand: string;
  if (flavour.levels === 0) {
    emitter.text('mov ax, 0xffff\nmov gs, ax');
    operand = `gs:[${0x10 + (offset & 0xfff)}]`;
  } else operand = `[${layout.data - layout.dsBase + PAGE * DATA_PAGE.DEVICE + offset}]`;
  emitter.text(
    random.pick([
      `mov eax, ${operand}`,
      `mov ${operand}, eax`,
      `add dword ptr ${operand}, ecx`,
      `mov ${operand}, dl`,
      `movzx edx, word ptr ${operand}`,
      `movups xmm1, ${operand}`,
      `movq ${operand}, xmm1`,
      `xchg ${operand}, ebx`,
      `cmp dword ptr ${operand}, esi`,
      `push word ptr ${operand}`,
    ]),
  );
}

/** Changes an entry of the page tables, and what goes with it. */
export function emitTableChange(context: PieceContext): void {
  const { random, flavour, layout, emitter, world } = context;
  const inCode = random.oneIn(2);
  const page = inCode
    ? random.below(CODE_PAGES)
    : random.pick([0, 1, DATA_PAGE.LAZY, DATA_PAGE.LAZY + 1, DATA_PAGE.SPARE]);
  const linear = (inCode ? layout.code : layout.data) + PAGE * page;
  const entry = `${codeSegment(flavour)}[${names(flavour).di}`;
  emitter.load(RDI, BigInt(world.entryAddress(linear)), true);
  const choice = random.below(6);
  if (inCode && choice >= 3) {
    // until the translation is flushed nobody says what holds, least of all for the code that does it
    emitter.text(`int ${choice < 5 ? VECTOR.UNMAP : VECTOR.NO_EXECUTE}`);
    return;
  }
  if (inCode)
    emitter.text(`xor dword ptr ${entry}], ${world.frame('code', page) ^ world.frame('code', page + CODE_PAGES)}`);
  else if (choice < 2) emitter.text(`xor dword ptr ${entry}], ${WRITABLE}`);
  else if (choice < 5) emitter.text(`xor dword ptr ${entry}], ${PRESENT}`);
  else emitter.text(`and dword ptr ${entry}], ${~ACCESSED_DIRTY}`);
  if (flavour.cpl === 3) emitter.text(`int ${VECTOR.FLUSH}`);
  else if (random.oneIn(3))
    emitter.text(flavour.bits === 64 ? 'mov rax, cr3\nmov cr3, rax' : 'mov eax, cr3\nmov cr3, eax');
  else emitter.text(`invlpg [${linear}]`);
}

/** To the other address space, or back. */
export function emitSwitch({ flavour, emitter, world, random }: PieceContext): void {
  if (flavour.cpl === 3 || random.oneIn(2)) {
    emitter.text(`int ${VECTOR.SWITCH}`);
    return;
  }
  const { a } = names(flavour);
  emitter.text(`mov ${a}, cr3\nxor ${a}, ${world.otherRoot}\nmov cr3, ${a}`);
}

/** System instructions that a program survives, by privilege. */
function systemTexts({ flavour, random, layout }: PieceContext): string[] {
  const { a, b, d } = names(flavour);
  const stack = flavour.bits === 64 ? 'qword' : flavour.bits === 32 ? 'dword' : 'word';
  const flags =
    flavour.bits === 64 ? ['pushfq', 'popfq'] : flavour.bits === 32 ? ['pushfd', 'popfd'] : ['pushfw', 'popfw'];
  const port = random.below(0x1000);
  const any = [
    'xor eax, eax\ncpuid',
    'rdtsc',
    `mov dx, ${port}\nin al, dx`,
    `mov dx, ${port}\nin eax, dx`,
    `mov dx, ${port}\nout dx, ax`,
    'cli\nnop\nsti',
    'cli',
    'sti',
    'sti\nnop',
    'int3',
    `int ${0x40 + random.below(0x10)}`,
    `${flags[0]}\n${flags[1]}`,
    `${flags[0]}\nxor ${stack} ptr [${flavour.bits === 64 ? 'rsp' : 'esp'}], 0x100\n${flags[1]}`,
    `${flags[0]}\nbtr ${stack} ptr [${flavour.bits === 64 ? 'rsp' : 'esp'}], 10\n${flags[1]}`,
    'mov ax, ss\nmov ss, ax',
    'mov ax, ds\nmov es, ax',
    'push fs\npop fs',
    'lahf\nsahf',
    'pause',
    'fninit',
    'emms',
    'xor ecx, ecx\nxgetbv',
    'ud2',
    'clflush [rdi]'.replace('rdi', flavour.bits === 64 ? 'rdi' : 'edi'),
  ];
  if (flavour.bits === 64) any.push('rdfsbase rax\nwrfsbase rax', 'rdgsbase rdx', 'swapgs\nswapgs', 'rdtscp');
  if (flavour.levels === 4 && flavour.cpl === 3 && flavour.bits === 64) any.push('syscall');
  if (flavour.cpl === 3) return any;
  const kernel = [
    `mov ${a}, cr0\nmov cr0, ${a}`,
    `mov ${a}, cr0\nor eax, ${CR0.TS}\nmov cr0, ${a}`,
    `mov ${a}, cr0\nxor eax, ${CR0.WP}\nmov cr0, ${a}`,
    'clts',
    'wbinvd',
    'hlt',
    `mov ecx, 0xc0000101\nrdmsr`,
    `xor eax, eax\nmov dr7, ${a}`.replace('xor eax, eax', flavour.bits === 64 ? 'xor eax, eax' : 'xor eax, eax'),
  ];
  if (flavour.levels > 0) {
    kernel.push(
      `mov ${a}, cr4\nxor eax, ${CR4.PGE}\nmov cr4, ${a}\nxor eax, ${CR4.PGE}\nmov cr4, ${a}`,
      `mov ${b}, cr3\nmov cr3, ${b}`,
      `invlpg [${layout.data - layout.dsBase}]`,
      // a data breakpoint on the window's first bytes, and off again
      `mov ${d}, ${layout.data + 8 * random.below(64)}\nmov dr0, ${d}\nmov edx, 0x000d0001\nmov dr7, ${d}\nmov [${layout.data}], edx\nxor edx, edx\nmov dr7, ${d}`,
    );
  }
  return [...any, ...kernel];
}

export function emitSystem(context: PieceContext): void {
  context.emitter.text(context.random.pick(systemTexts(context)));
}

/** Back to a good stack pointer. */
export function emitStackReset({ flavour, layout, emitter, random }: PieceContext): void {
  const top = layout.stack - layout.ssBase + PAGE + 16 * random.below(0x80);
  emitter.load(RDX, BigInt(top));
  emitter.text(flavour.bits === 64 ? 'mov rsp, rdx' : 'mov esp, edx');
}

/** An indirect jump or call to a label, by register or by memory. */
export function emitIndirect(context: PieceContext, label: string, kind: 'jmp' | 'call', base: number): void {
  const { flavour, emitter, random } = context;
  const register = flavour.bits === 64 ? 'rbx' : flavour.bits === 32 ? 'ebx' : 'bx';
  emitter.address(RBX, label, base);
  if (random.oneIn(2)) {
    emitter.text(`${kind} ${register}`);
    return;
  }
  const at = constant(context, CONSTANTS.TARGETS + 8 * random.below(32));
  emitter.text(`mov [${at}], ${register}`);
  emitter.text(`${kind} ${flavour.bits === 64 ? 'qword' : flavour.bits === 32 ? 'dword' : 'word'} ptr [${at}]`);
}
