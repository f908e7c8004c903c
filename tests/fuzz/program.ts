/** Random programs: a main loop and functions of instructions, branches, loops and calls, in a world of their own. */
import type { ProcessorState } from '../vectors/case.ts';
import { Random } from '../vectors/random.ts';
import { randomState } from '../vectors/states.ts';
import { operandBytes } from '../vectors/values.ts';
import { Emitter } from './emitter.ts';
import {
  ALTERNATIVES,
  CODE_BYTES,
  CODE_PAGES,
  CONSTANTS,
  DATA_PAGE,
  FLAVOURS,
  type Flavour,
  layoutOf,
  MAX_SLOTS,
  PAGE,
  ripBase,
  SLOT_BYTES,
  SYSTEM,
} from './flavours.ts';
import { World } from './image.ts';
import { anyRegister, emitFlags, emitInstruction, smallInstruction } from './instructions.ts';
import {
  constant,
  emitCodeData,
  emitDevice,
  emitIndirect,
  emitNeighbours,
  emitPatch,
  emitSlot,
  emitStackReset,
  emitSwitch,
  emitSystem,
  emitTableChange,
  type PieceContext,
} from './pieces.ts';

/** How often, of a thousand pieces, something other than a plain instruction comes. */
interface Mix {
  readonly branch: number;
  readonly loop: number;
  readonly call: number;
  readonly warm: number;
  readonly indirect: number;
  readonly slot: number;
  readonly patch: number;
  readonly codeData: number;
  readonly tables: number;
  readonly switch: number;
  readonly device: number;
  readonly system: number;
  readonly stack: number;
  readonly neighbours: number;
}

const PLAIN: Mix = {
  branch: 100,
  loop: 35,
  call: 40,
  warm: 10,
  indirect: 0,
  slot: 0,
  patch: 0,
  codeData: 0,
  tables: 0,
  switch: 0,
  device: 0,
  system: 0,
  stack: 5,
  neighbours: 15,
};
/** Programs of different kinds: all at once would leave few runs long enough for regions to matter. */
const MIXES: readonly Mix[] = [
  PLAIN,
  { ...PLAIN, indirect: 20, device: 5, system: 10 },
  { ...PLAIN, indirect: 10, slot: 50, patch: 50, codeData: 10 },
  { ...PLAIN, call: 30, warm: 40, slot: 20, tables: 15, switch: 40 },
  {
    ...PLAIN,
    call: 20,
    warm: 40,
    indirect: 10,
    slot: 20,
    patch: 15,
    codeData: 5,
    tables: 40,
    switch: 10,
    device: 5,
    system: 5,
  },
  {
    ...PLAIN,
    indirect: 10,
    slot: 20,
    patch: 20,
    codeData: 10,
    tables: 15,
    switch: 5,
    device: 25,
    system: 50,
    stack: 10,
  },
];

export interface FuzzProgram {
  readonly seed: number;
  readonly flavour: Flavour;
  readonly world: World;
  /** Guest-physical memory to start with. */
  readonly image: Uint8Array;
  readonly state: ProcessorState;
  /** Where slots are in the code and what may be put there, for writes from outside. */
  readonly slots: readonly { readonly offset: number; readonly alternatives: readonly Uint8Array[] }[];
}

/** What the data is made of. */
const VALUES = ['integer', 'integer', 'integer', 'single', 'double'] as const;

const RBX = 3;
const RET = 0xc3;
const MAX_COUNTERS = 63;
const MAX_FUNCTIONS = 6;
const MAX_DEPTH = 3;

class Generator implements PieceContext {
  readonly random: Random;
  readonly flavour: Flavour;
  readonly layout: PieceContext['layout'];
  readonly emitter: Emitter;
  readonly state: ProcessorState;
  readonly wildness: number;
  readonly slots: readonly string[];
  world!: World;
  private readonly mix: Mix;
  private readonly functions: number;
  private currentFunction = -1;
  private slotsPlaced = 0;
  private readonly alternatives: Uint8Array[][];
  private labels = 0;
  private counters = 0;

  constructor(random: Random, flavour: Flavour) {
    this.random = random;
    this.flavour = flavour;
    this.layout = layoutOf(flavour, random);
    this.emitter = new Emitter(flavour.bits);
    this.state = randomState(random, flavour.bits === 64 ? 64 : 32);
    this.wildness = random.pick([2, 8, 8, 25]);
    this.mix = random.pick(MIXES);
    this.functions = random.between(1, MAX_FUNCTIONS);
    const slots = this.mix.slot > 0 ? random.between(2, MAX_SLOTS) : 0;
    this.slots = Array.from({ length: slots }, (_, i) => `slot${i}`);
    this.alternatives = this.slots.map(() => []);
  }

  freshLabel(): string {
    return `label${this.labels++}`;
  }

  generate(seed: number): FuzzProgram {
    const { random, emitter, flavour, layout } = this;
    const start = random.below(0x200);
    const world = new World({
      flavour,
      layout,
      start,
      codeWritable: random.below(3) > 0,
      mendsWrites: random.oneIn(2),
      ioPrivilege: random.oneIn(2),
      alignmentChecks: random.oneIn(4),
      otherCode: random.below(4) > 0 ? random.below(1 << CODE_PAGES) : 0,
    });
    this.world = world;
    this.slots.forEach((_, i) => {
      for (let n = 0; n < ALTERNATIVES; n++) this.alternatives[i].push(this.alternative());
    });
    emitter.moveTo(start);
    this.emitMain();
    for (let i = 0; i < this.functions; i++) this.emitFunction(i);
    this.emitRemainingSlots();
    this.writeImage(start);
    const slots = this.slots.map((label, i) => ({
      offset: emitter.offsetOf(label),
      alternatives: this.alternatives[i],
    }));
    return { seed, flavour, world, image: world.image, state: this.state, slots };
  }

  /** What a slot may hold: an instruction, a branch within it, a fault, a return. */
  private alternative(): Uint8Array {
    const { random } = this;
    switch (random.below(10)) {
      case 0:
        return Uint8Array.from([0x70 + random.below(16), 4, 0x40, 0x90, 0x41, 0x90, 0x90, 0x90]);
      case 1:
        return Uint8Array.from([0xeb, 6, 0x0f, 0x0b, 0x0f, 0x0b, 0x0f, 0x0b]);
      case 2:
        return Uint8Array.from([0x90, 0x90, 0x0f, 0x0b, 0x90, 0x90, 0x90, 0x90]);
      default:
        return smallInstruction(this, SLOT_BYTES);
    }
  }

  private emitMain(): void {
    const { random, emitter, flavour, layout } = this;
    if (flavour.levels === 0) {
      const load = (segment: string, linear: number) => emitter.text(`mov ax, ${linear >> 4}\nmov ${segment}, ax`);
      load('ds', layout.data);
      load('es', layout.data);
      load('fs', layout.code);
      load('ss', layout.stack);
    }
    emitStackReset(this);
    emitter.text(`fxrstor [${constant(this, CONSTANTS.FX)}]`);
    emitter.label('main');
    this.emitPieces(random.between(10, 60), 0);
    for (let i = 0; i < this.functions; i++) if (random.oneIn(2)) emitter.call(`function${i}`);
    if (random.oneIn(2)) emitStackReset(this);
    emitter.jump('main');
  }

  private emitFunction(i: number): void {
    const { random, emitter } = this;
    this.currentFunction = i;
    // functions are on pages of their own, across the ends of pages, or behind one another
    const nextPage = (Math.floor(emitter.at / PAGE) + 1) * PAGE;
    if (nextPage < CODE_BYTES && random.below(3) > 0) emitter.moveTo(nextPage + random.between(-150, 0x200));
    else if (random.oneIn(2)) emitter.moveTo(emitter.at + random.below(64));
    emitter.label(`function${i}`);
    const frame = constant(this, CONSTANTS.FRAMES + 8 * i);
    const pointer = this.flavour.bits === 64 ? 'rsp' : 'esp';
    emitter.text(`mov [${frame}], ${pointer}`);
    if (emitter.hasRoom(0x800)) this.emitPieces(random.between(4, 25), 0);
    // what was pushed and popped on the way need not be even
    if (random.below(12) > 0) emitter.text(`mov ${pointer}, [${frame}]`);
    this.emitReturn();
  }

  /** Back to the caller: mostly by a plain RET, else in ways that a predicted return must notice. */
  private emitReturn(): void {
    const { random, emitter, flavour, layout } = this;
    const [pointer, register] = { 64: ['rsp', 'rbx'], 32: ['esp', 'ebx'], 16: ['esp', 'bx'] }[flavour.bits];
    switch (random.below(16)) {
      case 0:
      case 1:
        emitter.text(`ret ${8 * random.below(4)}`);
        return;
      case 2:
        emitter.text(`pop ${register}\njmp ${register}`);
        return;
      case 3:
        // to somewhere else, and from there back to nowhere or through the caller's frame
        emitter.address(RBX, random.oneIn(2) ? 'main' : `function${random.below(this.functions)}`, ripBase(layout));
        emitter.text(`${flavour.bits === 16 ? 'movzx esp, sp\n' : ''}mov [${pointer}], ${register}`);
        emitter.emit([RET]);
        return;
      case 4: {
        // a call whose return address is changed: falls through to the function's real return
        const thunk = this.freshLabel();
        const behind = this.freshLabel();
        emitter.call(thunk);
        emitter.text('ud2');
        emitter.label(thunk);
        emitter.address(RBX, behind, ripBase(layout));
        emitter.text(`${flavour.bits === 16 ? 'movzx esp, sp\n' : ''}mov [${pointer}], ${register}`);
        emitter.emit([RET]);
        emitter.label(behind);
        emitter.emit([RET]);
        return;
      }
      default:
        emitter.emit([RET]);
    }
  }

  private emitRemainingSlots(): void {
    const { emitter } = this;
    while (this.slotsPlaced < this.slots.length) this.placeSlot();
    emitter.jump('main');
  }

  private placeSlot(): void {
    const i = this.slotsPlaced++;
    emitSlot(this, this.slots[i], this.alternatives[i][0]);
  }

  private emitPieces(count: number, depth: number): void {
    for (let i = 0; i < count && this.emitter.hasRoom(0x400); i++) this.emitPiece(depth);
  }

  private emitPiece(depth: number): void {
    const { random, mix, flavour } = this;
    let choice = random.below(1000);
    const chosen = (weight: number): boolean => {
      choice -= weight;
      return choice < 0;
    };
    const nests = depth < MAX_DEPTH;
    if (chosen(mix.branch) && nests) this.emitBranch(depth);
    else if (chosen(mix.loop) && nests) this.emitLoop(depth);
    else if (chosen(mix.call)) this.emitCall();
    else if (chosen(mix.warm)) this.emitWarmCalls();
    else if (chosen(mix.indirect)) this.emitIndirectBranch();
    else if (chosen(mix.slot) && this.slotsPlaced < this.slots.length) this.placeSlot();
    else if (chosen(mix.patch) && this.slots.length > 0) this.emitPatch(depth);
    else if (chosen(mix.codeData)) emitCodeData(this);
    else if (chosen(mix.tables) && flavour.levels > 0) emitTableChange(this);
    else if (chosen(mix.switch) && flavour.levels > 0) emitSwitch(this);
    else if (chosen(mix.device)) emitDevice(this);
    else if (chosen(mix.system)) emitSystem(this);
    else if (chosen(mix.stack)) emitStackReset(this);
    else if (chosen(mix.neighbours)) emitNeighbours(this);
    else if (chosen(100)) emitFlags(this);
    else emitInstruction(this);
  }

  /** Now and then an operand-size prefix, mostly where a target cut to 16 bits is still the same. */
  private prefixBranch(): void {
    this.emitter.otherOperandSize = this.random.oneIn(ripBase(this.layout) === 0 ? 8 : 200);
  }

  /** IF, IF-ELSE, or a jump out of a block, with whatever flags there are. */
  private emitBranch(depth: number): void {
    const { random, emitter } = this;
    const condition = random.below(16);
    const behind = this.freshLabel();
    const otherwise = this.freshLabel();
    if (random.oneIn(2)) emitFlags(this);
    this.prefixBranch();
    emitter.jumpIf(condition, otherwise);
    this.emitPieces(random.between(0, 4), depth + 1);
    if (random.oneIn(2)) {
      this.prefixBranch();
      emitter.jump(behind);
      emitter.label(otherwise);
      this.emitPieces(random.between(0, 3), depth + 1);
    } else emitter.label(otherwise);
    emitter.label(behind);
  }

  /** A loop counted in memory, or in a register that its body may spoil. */
  private emitLoop(depth: number): void {
    const { random, emitter, flavour } = this;
    const top = this.freshLabel();
    const iterations = depth === MAX_DEPTH - 1 && random.oneIn(4) ? random.between(20, 100) : random.between(2, 5);
    const inMemory = random.below(12) > 0;
    const counter = constant(this, CONSTANTS.COUNTERS + 4 * (this.counters++ % MAX_COUNTERS));
    const register = anyRegister(random);
    if (inMemory) emitter.text(`mov dword ptr [${counter}], ${iterations}`);
    else emitter.load(register, BigInt(iterations));
    emitter.label(top);
    this.emitPieces(random.between(1, 8), depth + 1);
    if (random.oneIn(8)) this.emitSecondEntry(top, depth);
    if (inMemory) {
      emitter.text(`dec dword ptr [${counter}]`);
      emitter.jumpIf(5, top, emitter.isNear(top) && random.oneIn(2));
    } else if (register === 1 && emitter.isNear(top) && random.oneIn(2)) emitter.loop(2, top);
    else {
      const name = (
        flavour.bits === 64
          ? ['rax', 'rcx', 'rdx', 'rbx', '', 'rbp', 'rsi', 'rdi']
          : ['eax', 'ecx', 'edx', 'ebx', '', 'ebp', 'esi', 'edi']
      )[register];
      emitter.text(`dec ${name}`);
      this.prefixBranch();
      emitter.jumpIf(random.oneIn(4) ? 15 : 5, top);
    }
  }

  /** A jump into the middle of what follows: makes graphs that are not reducible. */
  private emitSecondEntry(top: string, depth: number): void {
    const { random, emitter } = this;
    const middle = this.freshLabel();
    emitter.jumpIf(random.below(16), middle);
    this.emitPieces(random.between(1, 3), depth + 1);
    emitter.label(middle);
    this.emitPieces(random.between(1, 3), depth + 1);
    // a guard against endless runs: the carry flag decides, and is cleared on the way
    emitter.text('clc');
    emitter.jumpIf(2, top);
  }

  /** A change of a slot: any, or one close by, which may come right behind. */
  private emitPatch(depth: number): void {
    const { random, slotsPlaced } = this;
    const next = random.below(3) > 0 && slotsPlaced < this.slots.length;
    if (!next) {
      const near = random.oneIn(2) && slotsPlaced > 0;
      emitPatch(this, near ? Math.max(0, slotsPlaced - 1 - random.below(2)) : random.below(this.slots.length));
      return;
    }
    emitPatch(this, slotsPlaced);
    if (random.oneIn(3)) this.emitPieces(random.between(1, 2), depth + 1);
    if (slotsPlaced === this.slotsPlaced && random.below(4) > 0) this.placeSlot();
  }

  private emitCall(): void {
    const { random, emitter } = this;
    const first = this.currentFunction + 1;
    const recursive = random.oneIn(6);
    if (first >= this.functions && !recursive) return;
    const target = `function${recursive ? random.below(this.functions) : random.between(first, this.functions - 1)}`;
    const behind = this.freshLabel();
    if (recursive) {
      // one call in two is made, so that recursion ends
      emitter.text(`inc dword ptr [${constant(this, CONSTANTS.COUNTERS + 4 * MAX_COUNTERS)}]`);
      emitter.text(`test byte ptr [${constant(this, CONSTANTS.COUNTERS + 4 * MAX_COUNTERS)}], ${1 << random.below(2)}`);
      emitter.jumpIf(4, behind);
    }
    if (random.oneIn(6)) emitIndirect(this, target, 'call', ripBase(this.layout));
    else {
      if (random.oneIn(200)) this.prefixBranch();
      emitter.call(target);
    }
    emitter.label(behind);
  }

  /** Calls a function often enough that it is compiled once more with its caller, across pages too. */
  private emitWarmCalls(): void {
    const { random, emitter } = this;
    const first = this.currentFunction + 1;
    if (first >= this.functions) return;
    const top = this.freshLabel();
    const counter = constant(this, CONSTANTS.COUNTERS + 4 * (this.counters++ % MAX_COUNTERS));
    emitter.text(`mov dword ptr [${counter}], ${random.between(6, 12)}`);
    emitter.label(top);
    for (let n = random.between(1, 3); n > 0; n--) emitter.call(`function${random.between(first, this.functions - 1)}`);
    emitter.text(`dec dword ptr [${counter}]`);
    emitter.jumpIf(5, top);
  }

  private emitIndirectBranch(): void {
    const { random, emitter } = this;
    const behind = this.freshLabel();
    emitIndirect(this, behind, 'jmp', ripBase(this.layout));
    if (random.oneIn(2)) emitter.emit(random.bytes(random.between(1, 6)));
    emitter.label(behind);
  }

  private writeImage(start: number): void {
    const { world, emitter, random, layout, flavour } = this;
    const code = emitter.finish();
    world.store('code', 0, code);
    if (flavour.levels > 0) {
      world.store('code', CODE_BYTES, code);
      this.slots.forEach((label, i) => {
        world.store('code', CODE_BYTES + emitter.offsetOf(label), random.pick(this.alternatives[i]));
      });
    }
    for (let at = 0; at < PAGE * DATA_PAGE.CONSTANTS; at += 16)
      world.store('data', at, operandBytes(random, random.pick(VALUES), 16));
    const constants = PAGE * DATA_PAGE.CONSTANTS;
    this.alternatives.forEach((list, i) => {
      list.forEach((bytes, n) => {
        world.store('data', constants + CONSTANTS.SLOTS + SLOT_BYTES * (ALTERNATIVES * i + n), bytes);
      });
    });
    world.store('data', constants + CONSTANTS.FX, this.state.fx);
    const resume = emitter.resumeTable(start);
    world.image.set(new Uint8Array(resume.buffer), world.system + SYSTEM.RESUME);
    if (this.slots.length > 0 && random.oneIn(2)) {
      const view = new DataView(world.image.buffer, world.system);
      const slot = random.below(this.slots.length);
      const offset = emitter.offsetOf(this.slots[slot]);
      view.setBigUint64(SYSTEM.PATCH_POINTER, BigInt(flavour.levels === 0 ? offset : layout.alias + offset), true);
      world.image.set(this.alternatives[slot][1], world.system + SYSTEM.PATCH_VALUE);
    }
  }
}

/** The program of a seed. */
export function generateProgram(seed: number): FuzzProgram {
  const random = new Random(`program ${seed}`);
  const flavour = FLAVOURS[random.pick([0, 0, 0, 1, 1, 2, 3, 4, 5, 6])];
  return new Generator(random, flavour).generate(seed);
}
