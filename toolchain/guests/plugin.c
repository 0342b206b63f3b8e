/* SPDX-License-Identifier: Apache-2.0 */
/* A TCG plugin for qemu (API version 1, QEMU 7.2 and later): how often every block of instructions was executed.
 *
 * Arguments: out=FILE, and mark=ADDRESS (hex, may be repeated): the counts are cut each time the instruction there is
 * about to execute. Lines written, numbers in hex:
 *   B block address code...   a block as it was translated, its instructions' bytes as they lie in memory
 *   S segment                 what was executed up to this cut follows
 *   C block count
 * The declarations stand here because Debian ships no qemu-plugin.h (docs/devel/tcg-plugins.rst of QEMU).
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define BUCKETS 65536
#define MARKS 8

EXPORT int qemu_plugin_version = 1;

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_info;
extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, struct qemu_plugin_tb *));
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
extern uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
extern size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);
extern const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int, void *, uint64_t);
extern void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, void (*)(unsigned, void *), int, void *);
extern void qemu_plugin_register_atexit_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, void *), void *);

typedef struct block {
  uint64_t executed, written, address;
  size_t length, id;
  struct block *next;
} block;

static block *table[BUCKETS];
static size_t blocks, segments, marks;
static uint64_t mark[MARKS];
static FILE *out;

static void cut(void) {
  fprintf(out, "S %zx\n", segments++);
  for (size_t bucket = 0; bucket < BUCKETS; ++bucket)
    for (block *b = table[bucket]; b; b = b->next)
      if (b->executed != b->written) {
        fprintf(out, "C %zx %" PRIx64 "\n", b->id, b->executed - b->written);
        b->written = b->executed;
      }
}

static void at_mark(unsigned cpu, void *unused) { cut(); }

static block *known(uint64_t address, size_t length) {
  block *found = table[(address >> 1) % BUCKETS];
  while (found && (found->address != address || found->length != length)) found = found->next;
  return found;
}

static block *added(const struct qemu_plugin_tb *tb, uint64_t address, size_t length) {
  block *made = calloc(1, sizeof *made), **bucket = &table[(address >> 1) % BUCKETS];
  if (!made) abort();
  *made = (block){.address = address, .length = length, .id = blocks++, .next = *bucket};
  *bucket = made;
  fprintf(out, "B %zx %" PRIx64, made->id, address);
  for (size_t i = 0; i < length; ++i) {
    const struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(tb, i);
    const unsigned char *code = qemu_plugin_insn_data(instruction);
    fputc(' ', out);
    for (size_t byte = 0; byte < qemu_plugin_insn_size(instruction); ++byte) fprintf(out, "%02x", code[byte]);
  }
  fputc('\n', out);
  return made;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
  const size_t length = qemu_plugin_tb_n_insns(tb);
  const uint64_t address = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, 0));
  block *b = known(address, length);
  if (!b) b = added(tb, address, length);
  qemu_plugin_register_vcpu_tb_exec_inline(tb, 0, &b->executed, 1);
  for (size_t i = 0; i < length; ++i) {
    struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(tb, i);
    for (size_t m = 0; m < marks; ++m)
      if (qemu_plugin_insn_vaddr(instruction) == mark[m])
        qemu_plugin_register_vcpu_insn_exec_cb(instruction, at_mark, 0, NULL);
  }
}

static void ended(qemu_plugin_id_t id, void *unused) {
  cut();
  fclose(out);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int argc, char **argv) {
  for (int i = 0; i < argc; ++i) {
    if (!strncmp(argv[i], "out=", 4)) out = fopen(argv[i] + 4, "w");
    if (!strncmp(argv[i], "mark=", 5) && marks < MARKS) mark[marks++] = strtoull(argv[i] + 5, NULL, 16);
  }
  if (!out) return 1;
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_atexit_cb(id, ended, NULL);
  return 0;
}
