#include "views/pair.h"

#include <string.h>

#include "store/err.h"

static void put_ref(char *out, const struct ref *ref)
{
    out[0] = (char)ref->kind;
    memcpy(out + 1, ref->id, sizeof ref->id);
}

void pair_key(const struct ref *one, const struct ref *other, char key[PAIR_KEY_BYTES])
{
    put_ref(key, one);
    put_ref(key + PAIR_REF_BYTES, other);
}

int pair_compare(const struct ref *a, const struct ref *b)
{
    if (a->kind != b->kind) return a->kind < b->kind ? -1 : 1;
    return memcmp(a->id, b->id, sizeof a->id);
}

int pair_offer(struct register_batch *batch, const struct ref *one, const struct ref *other, size_t slot, int64_t seq)
{
    char key[PAIR_KEY_BYTES];
    pair_key(one, other, key);
    return register_batch_offer(batch, (struct slice){ key, sizeof key }, slot, 0, seq);
}

int pair_open(struct kv_txn *txn, kv_table table, size_t slots, const struct ref *one, const struct ref *after,
              struct pair_iter *ret_iter)
{
    static const struct ref first; /* REF_NONE sorts before every reference */
    struct pair_iter iter = { .slots = slots, .behind = after != NULL };
    pair_key(one, after != NULL ? after : &first, iter.from);
    int err = kv_cursor_open(txn, table, &iter.cursor);
    if (err == OK) *ret_iter = iter;
    return err;
}

void pair_close(struct pair_iter *iter)
{
    kv_cursor_close(iter->cursor);
    iter->cursor = NULL;
}

static int pair_move(struct pair_iter *iter, struct slice *ret_key, struct slice *ret_value)
{
    const struct slice from = { iter->from, sizeof iter->from };
    if (iter->moved) return kv_next(iter->cursor, ret_key, ret_value);
    iter->moved = true;
    int found = kv_seek(iter->cursor, from, ret_key, ret_value);
    bool same = found == 1 && ret_key->len == from.len && memcmp(ret_key->data, from.data, from.len) == 0;
    return same && iter->behind ? kv_next(iter->cursor, ret_key, ret_value) : found;
}

int pair_next(struct pair_iter *iter, struct ref *ret_other, struct register_slot *ret_slots)
{
    struct slice key, value;
    int found = pair_move(iter, &key, &value);
    if (found != 1) return found;
    if (key.len != PAIR_KEY_BYTES) return err_set(ERR_CORRUPT, "a pair in the views is damaged; rebuild the views");
    if (memcmp(key.data, iter->from, PAIR_REF_BYTES) != 0) return 0;
    int err = register_read(value, iter->slots, ret_slots);
    if (err != OK) return err;
    ret_other->kind = (uint8_t)key.data[PAIR_REF_BYTES];
    memcpy(ret_other->id, key.data + PAIR_REF_BYTES + 1, sizeof ret_other->id);
    return 1;
}
