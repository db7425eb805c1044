#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "store/err.h"
#include "tests/support/corpus.h"
#include "views/index_registers.h"

#define KEYS 30

#define SLOTS 3

static const enum register_rule rules[SLOTS] = { REGISTER_LARGEST, REGISTER_SMALLEST, REGISTER_FIRST };

static struct slice key_of(const char *name)
{
    return (struct slice){ name, strlen(name) };
}

static kv_table table_open(struct corpus_kv *store)
{
    struct kv_txn *txn;
    kv_table table;
    cr_assert_eq(kv_begin_write(store->kv, &txn), OK);
    cr_assert_eq(kv_table_open(txn, "registers", false, &table), OK);
    cr_assert_eq(kv_commit(txn), OK);
    return table;
}

static void batch_commit(struct corpus_kv *store, kv_table table, struct register_batch *batch)
{
    struct kv_txn *txn;
    cr_assert_eq(kv_begin_write(store->kv, &txn), OK);
    cr_assert_eq(register_batch_write(batch, txn, table), OK);
    cr_assert_eq(kv_commit(txn), OK);
}

static bool read_slots(struct corpus_kv *store, kv_table table, struct slice key, struct register_slot slots[2])
{
    struct kv_txn *txn;
    struct slice value;
    cr_assert_eq(kv_begin_read(store->kv, &txn), OK);
    int found = kv_get(txn, table, key, &value);
    if (found == 1) cr_assert_eq(register_read(value, SLOTS, slots), OK);
    kv_abort(txn);
    return found == 1;
}

static bool better(size_t slot, struct register_slot a, struct register_slot b)
{
    if (b.seq == SEQ_EMPTY) return true;
    if (a.order == b.order) return slot == 0 ? a.seq > b.seq : a.seq < b.seq;
    return slot == 1 ? a.order < b.order : a.order > b.order;
}

Test(index_registers, keep_the_best_offer_whatever_the_batches)
{
    struct dice dice = dice_make();
    struct corpus_kv store;
    struct register_batch *batch;
    struct register_slot model[KEYS][SLOTS];
    for (size_t i = 0; i < KEYS; i++)
        model[i][0] = model[i][1] = model[i][2] = (struct register_slot){ 0, SEQ_EMPTY };
    corpus_kv_open(&store);
    kv_table table = table_open(&store);
    cr_assert_eq(register_batch_new(SLOTS, rules, &batch), OK);
    for (int64_t seq = 0; seq < 3000; seq++) {
        char name[3] = { 'k', (char)('a' + dice_roll(&dice, KEYS)), 0 };
        size_t slot = dice_roll(&dice, SLOTS);
        const struct register_slot offer = { (double)dice_roll(&dice, 9) - 4.5, seq };
        struct register_slot *best = &model[name[1] - 'a'][slot];
        cr_assert_eq(register_batch_offer(batch, key_of(name), slot, offer.order, seq), OK);
        if (better(slot, offer, *best)) *best = offer;
        if (dice_roll(&dice, 50) == 0) batch_commit(&store, table, batch);
    }
    batch_commit(&store, table, batch);
    for (size_t i = 0; i < KEYS; i++) {
        const char name[3] = { 'k', (char)('a' + i), 0 };
        struct register_slot slots[SLOTS] = { { 0, SEQ_EMPTY }, { 0, SEQ_EMPTY }, { 0, SEQ_EMPTY } };
        (void)read_slots(&store, table, key_of(name), slots);
        for (size_t slot = 0; slot < SLOTS; slot++)
            cr_assert(slots[slot].seq == model[i][slot].seq && slots[slot].order == model[i][slot].order,
                      "SLUICE_TEST_SEED=%llu", (unsigned long long)dice.seed);
    }
    register_batch_free(batch);
    corpus_kv_close(&store);
}

Test(index_registers, a_slot_without_offer_says_so)
{
    struct corpus_kv store;
    struct register_batch *batch;
    struct register_slot slots[SLOTS];
    corpus_kv_open(&store);
    kv_table table = table_open(&store);
    cr_assert_eq(register_batch_new(SLOTS, rules, &batch), OK);
    cr_assert_eq(register_batch_offer(batch, key_of("x"), 1, NAN, 5), OK);
    batch_commit(&store, table, batch);
    cr_assert(read_slots(&store, table, key_of("x"), slots));
    cr_assert(slots[0].seq == SEQ_EMPTY && slots[1].seq == 5 && slots[1].order == 0);
    cr_assert_not(read_slots(&store, table, key_of("y"), slots));
    register_batch_free(batch);
    register_batch_free(NULL);
    corpus_kv_close(&store);
}

Test(index_registers, wrong_sizes_are_errors)
{
    struct register_batch *batch;
    struct register_slot slots[SLOTS];
    cr_assert_eq(register_batch_new(REGISTER_SLOTS_MAX + 1, rules, &batch), ERR_ARG);
    cr_assert_eq(register_read(SLICE_LITERAL("12345"), SLOTS, slots), ERR_CORRUPT);
    cr_assert_eq(register_batch_new(SLOTS, rules, &batch), OK);
    cr_assert_eq(register_batch_offer(batch, key_of("x"), SLOTS, 0, 0), ERR_ARG);
    register_batch_free(batch);
}
