#include "server/cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <sysexits.h>

#include "server/cli_common.h"
#include "store/err.h"

static void on_damage(void *ctx, const struct log_damage *damage)
{
    int64_t *count = ctx;
    *count += 1;
    printf("damaged  offset %" PRId64 ", %" PRId64 " bytes: %s%s\n", damage->at, damage->bytes, damage->what,
           damage->tail ? " (the end of the file; cut off when the log is opened with --data)" : "");
}

static const char *codec_name(enum log_codec codec)
{
    switch (codec) {
    case LOG_CODEC_AUTO: return "none (the file is empty)";
    case LOG_CODEC_V2: return "v2 (the older frame, read only)";
    case LOG_CODEC_32: return "32 bit";
    case LOG_CODEC_48: return "48 bit";
    case LOG_CODEC_53: return "53 bit";
    }
    return "?";
}

int cli_verify(int argc, char **argv)
{
    struct config config;
    int code = EX_OK;
    if (!cli_begin(CONFIG_VERIFY, argc, argv, 1, &config, &code)) goto out;
    const struct log_offset_options options = {
        .path = config.arguments[0],
        .follow = true,
        .codec = cli_codec(&config),
    };
    enum log_codec codec = LOG_CODEC_AUTO;
    int64_t records = 0, deleted = 0, damaged = 0;
    int err = log_offset_verify(&options, on_damage, &damaged, &codec, &records, &deleted);
    if (err != OK && (err != ERR_CORRUPT || damaged == 0)) {
        code = cli_fail("verify", err);
        goto out;
    }
    printf("codec    %s\nrecords  %" PRId64 "\ndeleted  %" PRId64 "\n%s", codec_name(codec), records, deleted,
           err == OK ? "all is well\n" : "");
    code = cli_exit_code(err);
out:
    config_free(&config);
    return code;
}
