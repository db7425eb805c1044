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

static void put_found(enum log_codec codec, int64_t records, int64_t deleted)
{
    printf("codec    %s\nrecords  %" PRId64 "\ndeleted  %" PRId64 "\n", codec_name(codec), records, deleted);
}

static int verify_only(const struct log_offset_options *options)
{
    enum log_codec codec = LOG_CODEC_AUTO;
    int64_t records = 0, deleted = 0, damaged = 0;
    int err = log_offset_verify(options, on_damage, &damaged, &codec, &records, &deleted);
    if (err != OK && (err != ERR_CORRUPT || damaged == 0)) return cli_fail("verify", err);
    put_found(codec, records, deleted);
    if (err == OK) puts("all is well");
    return cli_exit_code(err);
}

/* ---- repair ---- */

static void put_salvaged(const struct log_salvaged *told, bool written)
{
    printf("%s %s\n", written ? "written " : "would be", told->path);
    printf("         %" PRId64 " records, each with its bytes and its seq\n", told->records);
    if (told->ranges > 0)
        printf("         %" PRId64 " bytes in %" PRId64 " damaged range%s, now %" PRId64 " deleted record%s\n",
               told->lost_bytes, told->ranges, told->ranges == 1 ? "" : "s", told->filled,
               told->filled == 1 ? "" : "s");
    if (told->cut_bytes > 0)
        printf("         without the last %" PRId64 " bytes, which are no record\n", told->cut_bytes);
}

static int verify_repair(const struct log_offset_options *options, bool write)
{
    struct log_salvaged told;
    int64_t damaged = 0;
    int err = log_offset_salvage(options, write, on_damage, &damaged, &told);
    if (err != OK) return cli_fail("verify", err);
    put_found(told.codec, told.records, told.deleted);
    if (told.ranges == 0 && told.cut_bytes == 0) {
        puts("all is well: there is nothing to repair");
        return EX_OK;
    }
    put_salvaged(&told, write);
    if (write)
        printf(
            "%s was not changed. To use the new file, move it to where the old one is, and have the views built anew "
            "(sluice views --rebuild all)\n",
            options->path);
    else
        puts("nothing was written: say --yes instead of --dry-run to do it");
    return write ? EX_OK : EX_DATAERR;
}

static bool flags_fit(const struct config *config, int *ret_code)
{
    if (config->repair && config->dry_run == config->yes)
        *ret_code = cli_usage("verify", "--repair wants one of --dry-run (say what would be done) and --yes (do it)");
    else if (!config->repair && (config->dry_run || config->yes))
        *ret_code = cli_usage("verify", "--dry-run and --yes belong to --repair");
    else
        return true;
    return false;
}

int cli_verify(int argc, char **argv)
{
    struct config config;
    int code = EX_OK;
    if (!cli_begin(CONFIG_VERIFY, argc, argv, 1, &config, &code) || !flags_fit(&config, &code)) goto out;
    const struct log_offset_options options = {
        .path = config.arguments[0],
        .follow = true,
        .codec = cli_codec(&config),
    };
    code = config.repair ? verify_repair(&options, config.yes) : verify_only(&options);
out:
    config_free(&config);
    return code;
}
