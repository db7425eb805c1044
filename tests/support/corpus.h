/* Records for the tests of the views: unsigned, from few authors, ids, types and names, so that terms meet often, and with everything that a log may
 * hold besides: copies, forks, sequences out of order, encrypted and odd messages, values that are no messages at all. */
#ifndef TESTS_SUPPORT_CORPUS_H
#define TESTS_SUPPORT_CORPUS_H

#include "tests/support/scratch.h"
#include "views/flume.h"

#define CORPUS_AUTHORS 7
#define CORPUS_MESSAGES 40 /* ids; more records than that have copies among them */
#define CORPUS_BLOBS 5

struct corpus {
    size_t count;
    char **texts;
    struct message *messages; /* scanned */
    struct view_record *records;
};

/* seqs are 0, 10, 20 … until corpus_serve gives others. */
void corpus_make(struct dice *dice, size_t count, struct corpus *ret_corpus);
void corpus_free(struct corpus *corpus);

/* The n-th id of a kind (enum ref_kind). Of messages two neighbours share their first 8 bytes. */
void corpus_ref(int kind, unsigned n, struct ref *ret_ref);
size_t corpus_text(int kind, unsigned n, char text[REF_TEXT_MAX + 1]); /* terminated */

/* ---- a flume over records --------------------------------------------------------------------------------------- */

struct corpus_flume {
    char *dir, *views_dir;
    char path[SCRATCH_PATH]; /* of the offset log */
    struct flume *flume;
};

/* Writes the records to a log, takes over their seqs, opens a flume with the built-in views and waits for them. */
void corpus_serve(struct corpus *corpus, struct corpus_flume *ret_served);
void corpus_serve_texts(const char *const *texts, size_t count, struct corpus_flume *ret_served);
void corpus_stop(struct corpus_flume *served);
void corpus_settle(struct corpus_flume *served);              /* until the views have all of the log */
void corpus_delete(struct corpus_flume *served, int64_t seq); /* zeros over the record, as flumelog-offset does */

/* ---- views without a flume --------------------------------------------------------------------------------------- */

struct corpus_kv {
    char *dir;
    struct kv *kv;
};

void corpus_kv_open(struct corpus_kv *ret_store);
void corpus_kv_reopen(struct corpus_kv *store);
void corpus_kv_close(struct corpus_kv *store);

/* All entries of a table, or of all tables of a view, as bytes to compare. How far runs of the lists are joined is up to the batches that
 * came: of a table where that goes on, a copy is brought to the end of it (list_settle) and given. */
bool corpus_joins(struct kv_txn *txn, kv_table table); /* goes it on in a table of postings? */
void corpus_dump_table(struct kv_txn *txn, kv_table table, struct buf *out);
void corpus_dump_postings(struct kv_txn *txn, kv_table table, struct buf *out);
void corpus_dump(struct kv_txn *txn, const struct view *view, struct buf *out);

/* A line for each entry of a list, each offer that a register keeps and each value of other tables: how they are laid out does not show. */
void corpus_print(struct kv_txn *txn, const struct view *view, struct buf *out);

#endif
