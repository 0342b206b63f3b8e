/* SPDX-License-Identifier: Apache-2.0 */
/* Included before the model: its answers after every layer are handed to the guest. */
#ifndef SCT_GUEST_H
#define SCT_GUEST_H

void sct_guest_layer(const void *values, unsigned bytes);
#define SCT_LAYER_DONE(index, values, bytes) sct_guest_layer(values, bytes)

#endif
