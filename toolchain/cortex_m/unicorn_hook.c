/* SPDX-License-Identifier: Apache-2.0 */
/* Counts the blocks that unicorn executes (UC_HOOK_BLOCK). In C, because it is called for every block. */
#include <stdint.h>

#define SLOTS 65536

/* Read by the host: the block's address, its bytes, and how often it was executed. */
typedef struct {
  uint64_t address, bytes, executed;
} slot;

slot sct_slots[SLOTS];
uint64_t sct_lost; /* blocks for which there was no slot */

void sct_block(void *engine, uint64_t address, uint32_t bytes, void *unused) {
  (void)engine, (void)unused;
  for (uint64_t probe = 0; probe < SLOTS; ++probe) {
    slot *s = &sct_slots[((address >> 1) * 31 + bytes + probe) % SLOTS];
    if (s->executed == 0) s->address = address, s->bytes = bytes;
    if (s->address == address && s->bytes == bytes) {
      ++s->executed;
      return;
    }
  }
  ++sct_lost;
}
