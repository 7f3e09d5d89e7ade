# SPDX-License-Identifier: BSD-3-Clause
# A boot sector: says on COM1 that it runs, reads the last two of 131072 blocks by INT 13h AH=42h, and prints the second.
        .code16
        .text
        ljmp    $0, $0x7c00 + begin
begin:  xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $0x7c00, %sp
        movb    %dl, 0x7c00 + drive
        movw    $0x7c00 + here, %si
        call    print
        movb    0x7c00 + drive, %dl
        movb    $0x42, %ah
        movw    $0x7c00 + packet, %si
        int     $0x13
        movw    $0x7c00 + failed, %si
        jc      1f
        movw    $0x8200, %si
1:      call    print
2:      hlt
        jmp     2b

# the text at SI, up to a zero, to COM1
print:  lodsb
        testb   %al, %al
        jz      2f
        movb    %al, %bl
        movw    $0x3fd, %dx
1:      inb     %dx, %al
        testb   $0x20, %al
        jz      1b
        movb    %bl, %al
        movw    $0x3f8, %dx
        outb    %al, %dx
        jmp     print
2:      ret

here:   .asciz  "boot sector here\r\n"
failed: .asciz  "the disk cannot be read\r\n"
drive:  .byte   0
        .balign 4
packet: .byte   16, 0
        .word   2               # blocks
        .word   0x8000, 0       # to
        .quad   131070          # from
        .org    510
        .word   0xaa55
