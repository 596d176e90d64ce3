/* What commands about policies, parameters and limits have in common (cmd_parameter.c). */
#ifndef ADMIN_SETTING_H
#define ADMIN_SETTING_H

#include "admin/call.h"

/* False: there is no such virtual host, and the call has failed. */
bool setting_check_vhost(struct call *call);
/* Takes the request; a refusal ends with EX_UNAVAILABLE, as rabbitmqctl's does. */
void setting_submit(struct call *call, struct meta_request **request);
/* The same, with a JSON text as the definition. */
void setting_submit_json(struct call *call, struct meta_request **request, const char *json);

#endif
