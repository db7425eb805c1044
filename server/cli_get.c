#include "server/cli.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "server/cli_common.h"
#include "server/rows.h"
#include "store/err.h"
#include "store/message.h"

static bool is_seq(const char *text)
{
    return text[0] != '\0' && text[strspn(text, "0123456789")] == '\0';
}

/* The first record with that id, by reading the log: the command needs no views, nor does it disturb who holds them. */
static int get_by_id(struct log *log, const struct ref *id, const char *text, struct log_record *ret_record)
{
    struct message message;
    struct log_cursor cursor;
    struct log_record record;
    message_init(&message);
    const struct log_range range = LOG_RANGE_ALL;
    int got = log_cursor_open(log, &range, &cursor);
    if (got == OK) got = log_next(&cursor, &record);
    while (got == 1) {
        int err = message_scan(&message, record.value.data, record.value.len);
        if (err != OK) got = err;
        if (err != OK || (message.id.kind != REF_NONE && ref_equal(&message.id, id))) break;
        got = log_next(&cursor, &record);
    }
    message_free(&message);
    if (got < 0) return got;
    if (got == 0) return err_set(ERR_NOTFOUND, "there is no message %.100s in this log", text);
    *ret_record = record;
    return OK;
}

static int get_record(struct log *log, const char *text, struct log_record *ret_record)
{
    int64_t seq = 0;
    if (is_seq(text)) {
        int err = cli_number("SEQ", text, 0, &seq);
        return err == OK ? log_get(log, seq, ret_record) : err;
    }
    struct ref id;
    int err = ref_parse_any(text, strlen(text), &id);
    if (err == OK && id.kind != REF_MESSAGE)
        return err_set(ERR_REF, "%.100s is not the id of a message; give a seq or an id that begins with %%", text);
    return err == OK ? get_by_id(log, &id, text, ret_record) : err;
}

int cli_get(int argc, char **argv)
{
    struct config config;
    struct log *log = NULL;
    struct buf out;
    struct log_record record;
    int code = EX_OK;
    buf_init(&out, 8 * LOG_RECORD_MAX);
    if (!cli_begin(CONFIG_GET, argc, argv, 1, &config, &code)) goto out;
    int err = cli_open_log(&config, &log);
    if (err == OK) err = get_record(log, config.arguments[0], &record);
    if (err == OK) err = record_print(&record, &out);
    if (err == OK) err = buf_putc(&out, '\n');
    if (err != OK)
        code = cli_fail("get", err);
    else if (fwrite(out.data, 1, out.len, stdout) != out.len || fflush(stdout) != 0)
        code = cli_fail("get", err_errno("standard output", "writing"));
out:
    buf_free(&out);
    log_close(log);
    config_free(&config);
    return code;
}
