/* backup: asks for one, and looks from time to time whether it is over. */
#include "admin/admin_priv.h"
#include "admin/backup_job.h"
#include "admin/call.h"
#include "admin/handlers.h"

#include <inttypes.h>

enum { LOOK_MS = 20 };

static struct backup_job *job_of(const struct call *call)
{
    return admin_of(call_node(call))->backup;
}

static void drop_backup(struct call *call)
{
    struct admin *admin = admin_of(call_node(call));
    if (admin) /* at a stop the calls end after it */
        backup_job_drop(admin->backup);
}

static void look_backup(struct call *call)
{
    struct failure why;
    enum err err;
    uint64_t bytes;
    if (!backup_job_look(job_of(call), &err, &bytes, &why)) {
        timer_set(&call->timer, LOOK_MS);
        return;
    }
    call->on_gone = NULL;
    if (err) {
        call_fail(call, err_info(err)->exit_code, "%s", why.text);
        return;
    }
    struct buf text = BUF_INIT;
    if (call->request.json) {
        buf_printf(&text, "{\"bytes\":%" PRIu64 "}", bytes);
        call_value(call, buf_slice(&text));
    } else {
        call_print(call, "%" PRIu64 " bytes in %s", bytes, call->args.words[0]);
    }
    buf_fini(&text);
    call_exit(call);
}

void run_backup(struct call *call)
{
    struct failure why;
    if (call_is_dry(call))
        return;
    enum err err = backup_job_start(job_of(call), call->args.words[0], &why);
    if (err) {
        call_fail(call, err_info(err)->exit_code, "%s", why.text);
        return;
    }
    call_banner(call, "Making a backup in %s ...", call->args.words[0]);
    call->on_gone = drop_backup;
    call->on_timer = look_backup;
    timer_set(&call->timer, LOOK_MS);
}
