# SPDX-License-Identifier: Apache-2.0
"""Reads the ELF core that live memory is shown as (interfaces/PROTOCOL.memory)."""

import collections
import struct

Load = collections.namedtuple("Load", "offset address length")
Note = collections.namedtuple("Note", "name type desc")
PRSTATUS = 1
# numbers of PROTOCOL.memory: rax … rflags, segments of 4, cr0 … cr4
NAMES = "rax rbx rcx rdx rsi rdi rsp rbp r8 r9 r10 r11 r12 r13 r14 r15 rip rflags".split()


class Core:
    """`read(offset, length)`."""

    def __init__(self, read):
        self.read = read
        head = read(0, 64)
        assert head[:6] == b"\x7fELF\x02\x01", head[:16]
        kind, machine, _, _, phoff, _, _, ehsize, phentsize, phnum = struct.unpack("<HHIQQQIHHH", head[16:58])
        assert (kind, machine, phoff, ehsize, phentsize) == (4, 62, 64, 64, 56)
        self.loads, notes = [], []
        for i in range(phnum):
            kind, _, offset, virtual, physical, filesz, memsz, _ = struct.unpack("<IIQQQQQQ", read(64 + 56 * i, 56))
            assert filesz == memsz and virtual == 0
            if kind == 1:
                assert offset % 4096 == physical % 4096 == filesz % 4096 == 0
                self.loads.append(Load(offset, physical, filesz))
            else:
                assert kind == 4
                notes.append((offset, filesz))
        assert len(notes) == 1
        self.place = notes[0]
        for before, after in zip(self.loads, self.loads[1:]):
            assert before.offset + before.length == after.offset and before.address + before.length <= after.address

    def notes(self):
        data = self.read(*self.place)
        found, at = [], 0
        while at < len(data):
            namesz, descsz, kind = struct.unpack("<III", data[at : at + 12])
            name = data[at + 12 : at + 12 + namesz].rstrip(b"\0").decode()
            at += 12 + (namesz + 3) // 4 * 4
            found.append(Note(name, kind, data[at : at + descsz]))
            at += (descsz + 3) // 4 * 4
        assert at == len(data)
        return found

    def cpus(self):
        """Of the notes "QEMU": name → value, segments as {"cs": (selector, limit, flags, base)}."""
        cpus = []
        for note in self.notes():
            if note.name == "QEMU":
                version, size = struct.unpack("<II", note.desc[:8])
                assert (version, size, len(note.desc)) == (1, 440, 440)
                cpu = dict(zip(NAMES, struct.unpack("<18Q", note.desc[8:152])))
                for i, name in enumerate("cs ds es fs gs ss ldt tr gdt idt".split()):
                    selector, limit, flags, _, base = struct.unpack("<IIIIQ", note.desc[152 + 24 * i : 176 + 24 * i])
                    cpu[name] = (selector, limit, flags, base)
                cpu.update(zip(["cr0", "cr1", "cr2", "cr3", "cr4"], struct.unpack("<5Q", note.desc[392:432])))
                cpus.append(cpu)
        return cpus

    def vmcoreinfo(self):
        found = [note.desc.decode() for note in self.notes() if note.name == "VMCOREINFO"]
        return found[0] if found else None

    def memory(self, address, length):
        for load in self.loads:
            if load.address <= address and address + length <= load.address + load.length:
                return self.read(load.offset + address - load.address, length)
        raise ValueError(f"no RAM at {address:x}")
