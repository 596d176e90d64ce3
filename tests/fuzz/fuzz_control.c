/* What a client of the control socket sends: a stream of lines. Whatever comes is a request, an
 * answer or refused with a text; the words of a request are a command or refused with a code. */
#include "admin/columns.h"
#include "admin/command.h"
#include "admin/report.h"
#include "admin/request.h"
#include "fuzz.h"

#include <string.h>

static void check_columns(const struct args *args)
{
    struct columns columns;
    struct buf unknown = BUF_INIT;
    bool good = columns_choose(&columns, args->command->columns(), "name", args->words, args->count,
                               &unknown);
    require(good == (unknown.len == 0));
    require(!good || (columns.count > 0 && columns.count <= COLUMNS_MAX) || !args->count);
    buf_fini(&unknown);
}

static void check_args(const struct request *request)
{
    struct args args;
    struct buf error = BUF_INIT;
    int code = args_parse(&args, TOOL_NAME, request->words, request->count, &error);
    require((code == 0) == (error.len == 0));
    if (!code) {
        require(args.command && args.count >= args.command->min && args.count <= args.command->max);
        for (unsigned i = 0; i < OPTION_COUNT; i++)
            require(!args.options[i] || (args.command->options & 1u << i));
        if (args.command->columns)
            check_columns(&args);
    }
    buf_fini(&error);
}

static void check_line(struct slice line)
{
    struct request request;
    const char *error = NULL;
    char *answer = NULL;
    uint64_t bytes;
    if (request_parse(line, &request, &error)) {
        require(request.count > 0 && request.count <= CONTROL_WORDS_MAX);
        for (size_t i = 0; i < request.count; i++)
            report_parse_size(request.words[i], &bytes);
        check_args(&request);
        request_fini(&request);
    } else {
        require(error && *error);
    }
    if (request_parse_answer(line, &answer))
        free(answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    while (size) {
        const uint8_t *newline = memchr(data, '\n', size);
        size_t length = newline ? (size_t)(newline - data) : size;
        check_line(slice_of(data, length));
        if (!newline)
            break;
        data += length + 1;
        size -= length + 1;
    }
    return 0;
}
