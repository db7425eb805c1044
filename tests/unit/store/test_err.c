#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "store/err.h"

Test(err, every_code_has_a_name_and_a_sentence)
{
#define CHECK(name, number, text)            \
    cr_expect_eq(name, number);              \
    cr_expect_str_eq(err_name(name), #name); \
    cr_expect_str_eq(err_text(name), text);
    ERR_LIST(CHECK)
#undef CHECK
    cr_expect_str_eq(err_name(OK), "OK");
    cr_expect_str_eq(err_text(OK), "no error");
    cr_expect_str_eq(err_name(-9999), "ERR_UNKNOWN");
    cr_expect_str_eq(err_text(7), "unknown error");
}

Test(err, the_detail_belongs_to_its_code)
{
    cr_expect_str_eq(err_detail(ERR_IO), err_text(ERR_IO));
    cr_expect_eq(err_set(ERR_CORRUPT, "%s at %d", "bad", 7), ERR_CORRUPT);
    cr_expect_str_eq(err_detail(ERR_CORRUPT), "bad at 7");
    cr_expect_str_eq(err_detail(ERR_IO), err_text(ERR_IO));
}

Test(err, a_detail_may_quote_the_one_before)
{
    (void)err_set(ERR_IO, "inner");
    (void)err_set(ERR_IO, "outer: %s", err_detail(ERR_IO));
    cr_expect_str_eq(err_detail(ERR_IO), "outer: inner");
}

Test(err, a_long_detail_is_cut_not_overrun)
{
    char text[5000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    (void)err_set(ERR_IO, "%s", text);
    size_t len = strlen(err_detail(ERR_IO));
    cr_expect(len > 100 && len < sizeof text && err_detail(ERR_IO)[len - 1] == 'x');
}

Test(err, errno_chooses_the_code)
{
    static const struct {
        int number;
        int code;
    } cases[] = { { ENOENT, ERR_NOFILE }, { ENOTDIR, ERR_NOFILE }, { EACCES, ERR_PERM },   { EPERM, ERR_PERM },
                  { EROFS, ERR_PERM },    { ENOSPC, ERR_NOSPACE }, { EFBIG, ERR_NOSPACE }, { EDQUOT, ERR_NOSPACE },
                  { ENOMEM, ERR_NOMEM },  { EIO, ERR_IO },         { EBADF, ERR_IO } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        errno = cases[i].number;
        cr_expect_eq(err_errno("the/path", "doing it"), cases[i].code, "errno %d", cases[i].number);
    }
    errno = ENOENT;
    (void)err_errno("the/path", "open");
    cr_expect_str_eq(err_detail(ERR_NOFILE), "the/path: open: No such file or directory");
}

static void *other_thread(void *arg)
{
    (void)arg;
    (void)err_set(ERR_IO, "of the other thread");
    return NULL;
}

Test(err, each_thread_has_its_own_detail)
{
    (void)err_set(ERR_IO, "mine");
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, other_thread, NULL), 0);
    (void)pthread_join(thread, NULL);
    cr_expect_str_eq(err_detail(ERR_IO), "mine");
}
