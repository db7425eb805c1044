#include "views/index_registers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "views/index_keys.h"

#define SLOT_BYTES 16

struct register_batch {
    size_t slots;
    enum register_rule rules[REGISTER_SLOTS_MAX];
    struct index_keys keys;
    struct register_slot *best; /* `slots` for each key */
    size_t cap;
};

int register_batch_new(size_t slots, const enum register_rule *rules, struct register_batch **ret_batch)
{
    if (slots == 0 || slots > REGISTER_SLOTS_MAX) return err_set(ERR_ARG, "a register of %zu slots", slots);
    struct register_batch *batch = calloc(1, sizeof *batch);
    if (batch == NULL) return err_set(ERR_NOMEM, "no memory for a batch of registers");
    batch->slots = slots;
    memcpy(batch->rules, rules, slots * sizeof *rules);
    index_keys_init(&batch->keys, 0);
    *ret_batch = batch;
    return OK;
}

void register_batch_free(struct register_batch *batch)
{
    if (batch == NULL) return;
    index_keys_free(&batch->keys);
    free(batch->best);
    free(batch);
}

void register_batch_reset(struct register_batch *batch)
{
    index_keys_reset(&batch->keys);
}

size_t register_batch_bytes(const struct register_batch *batch)
{
    return index_keys_bytes(&batch->keys) + batch->keys.count * batch->slots * sizeof *batch->best;
}

/* Puts `offer` into `slot` if it is better. */
static void slot_offer(struct register_slot *slot, enum register_rule rule, struct register_slot offer)
{
    if (offer.seq == SEQ_EMPTY) return;
    bool better = rule == REGISTER_SMALLEST ? offer.order < slot->order : offer.order > slot->order;
    bool equal =
        offer.order == slot->order && (rule == REGISTER_LARGEST ? offer.seq > slot->seq : offer.seq < slot->seq);
    if (slot->seq == SEQ_EMPTY || better || equal) *slot = offer;
}

int register_batch_offer(struct register_batch *batch, struct slice key, size_t slot, double order, int64_t seq)
{
    uint32_t id;
    if (slot >= batch->slots) return err_set(ERR_ARG, "slot %zu of a register of %zu", slot, batch->slots);
    size_t known = batch->keys.count;
    int err = index_grow(&batch->best, &batch->cap, known, batch->slots * sizeof *batch->best);
    if (err == OK) err = index_keys_add(&batch->keys, key, &id);
    if (err != OK) return err;
    struct register_slot *best = batch->best + (size_t)id * batch->slots;
    for (size_t i = 0; id == known && i < batch->slots; i++)
        best[i] = (struct register_slot){ 0, SEQ_EMPTY };
    slot_offer(&best[slot], batch->rules[slot], (struct register_slot){ isnan(order) ? 0 : order, seq });
    return OK;
}

static void slots_write(const struct register_slot *slots, size_t n, uint8_t *out)
{
    for (size_t i = 0; i < n; i++, out += SLOT_BYTES) {
        uint64_t bits;
        memcpy(&bits, &slots[i].order, sizeof bits);
        index_put_u64le(out, bits);
        index_put_u64le(out + 8, (uint64_t)slots[i].seq);
    }
}

int register_read(struct slice value, size_t slots, struct register_slot *ret_slots)
{
    if (value.len != slots * SLOT_BYTES)
        return err_set(ERR_CORRUPT, "a register of the views has %zu bytes instead of %zu; rebuild the views",
                       value.len, slots * SLOT_BYTES);
    const uint8_t *in = (const uint8_t *)value.data;
    for (size_t i = 0; i < slots; i++, in += SLOT_BYTES) {
        uint64_t bits = index_get_u64le(in);
        memcpy(&ret_slots[i].order, &bits, sizeof bits);
        ret_slots[i].seq = (int64_t)index_get_u64le(in + 8);
    }
    return OK;
}

static int batch_write_key(const struct register_batch *batch, uint32_t id, bool behind, struct kv_txn *txn,
                           kv_table table)
{
    struct register_slot slots[REGISTER_SLOTS_MAX];
    uint8_t bytes[REGISTER_SLOTS_MAX * SLOT_BYTES];
    const struct register_slot *best = batch->best + (size_t)id * batch->slots;
    struct slice key = index_keys_get(&batch->keys, id), stored;
    memcpy(slots, best, batch->slots * sizeof *slots);
    int found = behind ? 0 : kv_get(txn, table, key, &stored);
    if (found < 0) return found;
    if (found == 1) {
        int err = register_read(stored, batch->slots, slots);
        if (err != OK) return err;
        for (size_t i = 0; i < batch->slots; i++)
            slot_offer(&slots[i], batch->rules[i], best[i]);
    }
    slots_write(slots, batch->slots, bytes);
    const struct slice value = { (const char *)bytes, batch->slots * SLOT_BYTES };
    if (found == 1 && memcmp(stored.data, value.data, value.len) == 0) return OK;
    return behind ? kv_append(txn, table, key, value) : kv_put(txn, table, key, value);
}

int register_batch_write(struct register_batch *batch, struct kv_txn *txn, kv_table table)
{
    struct index_sort *order;
    if (batch->keys.count == 0) return OK;
    int err = index_keys_sort(&batch->keys, &order);
    if (err != OK) return err;
    int behind = kv_ends_before(txn, table, index_keys_get(&batch->keys, (uint32_t)order[0].id));
    err = behind < 0 ? behind : OK;
    for (size_t i = 0; i < batch->keys.count && err == OK; i++)
        err = batch_write_key(batch, (uint32_t)order[i].id, behind == 1, txn, table);
    free(order);
    if (err == OK) register_batch_reset(batch);
    return err;
}
