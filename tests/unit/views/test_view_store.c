#include <criterion/criterion.h>

#include "store/err.h"
#include "tests/support/corpus.h"
#include "views/view_store.h"

static struct view store_open(struct corpus_kv *store, const struct view_ops *ops)
{
    struct kv_txn *txn;
    struct view view;
    cr_assert_eq(kv_begin_write(store->kv, &txn), OK);
    cr_assert_eq(view_store_open(txn, ops, &view), OK);
    cr_assert_eq(kv_commit(txn), OK);
    return view;
}

Test(view_store, state_comes_back_as_it_was_saved)
{
    struct corpus_kv store;
    struct kv_txn *txn;
    struct view_state state;
    const struct view_state saved = { UINT32_MAX, UINT64_MAX, SEQ_EMPTY, UINT64_C(0x0123456789abcdef), 12 };
    corpus_kv_open(&store);
    struct view view = store_open(&store, view_list[VIEW_types]);
    cr_assert_eq(kv_begin_write(store.kv, &txn), OK);
    cr_assert_eq(view_store_load(txn, &view, &state), 0);
    cr_assert_eq(view_store_save(txn, &view, &saved), OK);
    cr_assert_eq(kv_commit(txn), OK);
    corpus_kv_reopen(&store);
    view = store_open(&store, view_list[VIEW_types]);
    cr_assert_eq(kv_begin_read(store.kv, &txn), OK);
    cr_assert_eq(view_store_load(txn, &view, &state), 1);
    kv_abort(txn);
    cr_assert(state.version == saved.version && state.log_identity == saved.log_identity);
    cr_assert(state.since == saved.since && state.fingerprint == saved.fingerprint && state.records == 12);
    corpus_kv_close(&store);
}

Test(view_store, clearing_one_view_leaves_the_others)
{
    struct corpus_kv store;
    struct kv_txn *txn;
    struct view_state state = { .version = 1 };
    corpus_kv_open(&store);
    struct view types = store_open(&store, view_list[VIEW_types]), links = store_open(&store, view_list[VIEW_links]);
    cr_assert_eq(kv_begin_write(store.kv, &txn), OK);
    cr_assert_eq(view_store_save(txn, &types, &state), OK);
    cr_assert_eq(view_store_save(txn, &links, &state), OK);
    cr_assert_eq(view_store_clear(txn, &types), OK);
    cr_assert_eq(view_store_clear(txn, &types), OK);
    cr_assert_eq(view_store_load(txn, &types, &state), 0);
    cr_assert_eq(view_store_load(txn, &links, &state), 1);
    cr_assert_eq(kv_commit(txn), OK);
    corpus_kv_close(&store);
}

Test(view_store, a_state_of_another_size_is_damage)
{
    struct corpus_kv store;
    struct kv_txn *txn;
    struct view_state state;
    corpus_kv_open(&store);
    struct view view = store_open(&store, view_list[VIEW_feeds]);
    cr_assert_eq(kv_begin_write(store.kv, &txn), OK);
    cr_assert_eq(kv_put(txn, view.states, SLICE_LITERAL("feeds"), SLICE_LITERAL("short")), OK);
    cr_assert_eq(view_store_load(txn, &view, &state), ERR_CORRUPT);
    kv_abort(txn);
    corpus_kv_close(&store);
}

static int failing_emit(const struct message *message, term_fn *fn, void *ctx)
{
    (void)message, (void)fn, (void)ctx;
    return err_set(ERR_NOMEM, "told to fail");
}

Test(view_store, an_error_of_a_field_is_answered)
{
    struct corpus_kv store;
    struct kv_txn *txn;
    const struct field fields[] = { { "bad", NULL, failing_emit }, { NULL, NULL, NULL } };
    const struct view_ops ops = { .name = "test", .version = 1, .fields = fields };
    struct message message;
    message_init(&message);
    const struct view_record record = { 0, &message };
    corpus_kv_open(&store);
    struct view view = store_open(&store, &ops);
    cr_assert_eq(kv_begin_write(store.kv, &txn), OK);
    cr_assert_eq(view_store_apply(txn, &view, &record, 1), ERR_NOMEM);
    kv_abort(txn);
    message_free(&message);
    corpus_kv_close(&store);
}

Test(view_store, too_many_fields_are_refused)
{
    struct corpus_kv store;
    struct kv_txn *txn;
    const struct field fields[] = { { "a", NULL, NULL }, { "b", NULL, NULL }, { "c", NULL, NULL },
                                    { "d", NULL, NULL }, { "e", NULL, NULL }, { NULL, NULL, NULL } };
    const struct view_ops ops = { .name = "test", .version = 1, .fields = fields };
    struct view view;
    corpus_kv_open(&store);
    cr_assert_eq(kv_begin_write(store.kv, &txn), OK);
    cr_assert_eq(view_store_open(txn, &ops, &view), ERR_LIMIT);
    kv_abort(txn);
    corpus_kv_close(&store);
}

Test(view_store, fingerprints_tell_records_apart)
{
    cr_assert_neq(view_fingerprint(SLICE_LITERAL("a")), view_fingerprint(SLICE_LITERAL("b")));
    cr_assert_eq(view_fingerprint(SLICE_LITERAL("abc")), view_fingerprint(SLICE_LITERAL("abc")));
}
