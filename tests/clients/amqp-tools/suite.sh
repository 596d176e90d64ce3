#!/bin/bash
# librabbitmq (rabbitmq-c) through the commands of Debian's amqp-tools.

here=$(cd "$(dirname "$0")" && pwd)
. "$here/../lib/tap.sh"

where=(--server "${AMQP_HOST:-127.0.0.1}" --port "${AMQP_PORT:-5672}" --vhost "${AMQP_VHOST:-/}"
	--username "${AMQP_USER:-guest}" --password "${AMQP_PASSWORD:-guest}")
prefix=amqp-tools.$$

publish() { amqp-publish "${where[@]}" "$@"; }
get() { amqp-get "${where[@]}" "$@"; }
consume() { timeout 20 amqp-consume "${where[@]}" "$@"; }
declare_queue() { amqp-declare-queue "${where[@]}" "$@"; }
delete_queue() { amqp-delete-queue "${where[@]}" "$@"; }

declares_and_deletes() {
	same "$prefix.a" "$(declare_queue -q "$prefix.a")"
	same "$prefix.a" "$(declare_queue -q "$prefix.a")"
	same 0 "$(delete_queue -q "$prefix.a")"
	same 0 "$(delete_queue -q "$prefix.a")"
}

declares_durable() {
	same "$prefix.d" "$(declare_queue -d -q "$prefix.d")"
	says "inequivalent arg 'durable' for queue '$prefix.d'" declare_queue -q "$prefix.d"
	says 406 declare_queue -q "$prefix.d"
	delete_queue -q "$prefix.d"
}

declares_server_named() {
	local q
	q=$(declare_queue -q "")
	case $q in amq.gen-*) ;; *) echo "server named $q"; return 1 ;; esac
	delete_queue -q "$q"
}

publishes_and_gets() {
	local q=$prefix.pg
	declare_queue -q "$q"
	publish -r "$q" -b "hello"
	printf 'from stdin' | publish -r "$q"
	publish -p -C text/plain -E utf-8 -t answers -H "colour: red" -H "size: big" -r "$q" -b "dressed"
	same "hello" "$(get -q "$q")"
	same "from stdin" "$(get -q "$q")"
	same "dressed" "$(get -q "$q")"
	delete_queue -q "$q"
}

get_of_an_empty_queue_exits_2() {
	local q=$prefix.empty status=0
	declare_queue -q "$q"
	get -q "$q" || status=$?
	same 2 "$status"
	delete_queue -q "$q"
}

publishes_lines() {
	local q=$prefix.lines
	declare_queue -q "$q"
	seq 1 500 | publish -l -r "$q"
	consume -q "$q" -c 500 cat >"$scratch/lines"
	# The newline belongs to each message.
	seq 1 500 | cmp - "$scratch/lines"
	same 0 "$(delete_queue -q "$q")"
}

deletes_only_if_empty() {
	local q=$prefix.full
	declare_queue -q "$q"
	publish -r "$q" -b x
	publish -r "$q" -b y
	sleep 0.2
	says "not empty" delete_queue -e -q "$q"
	same 2 "$(delete_queue -q "$q")"
}

deletes_only_if_unused() {
	local q=$prefix.used pid
	declare_queue -q "$q"
	amqp-consume "${where[@]}" -q "$q" -c 1 cat >"$scratch/used" &
	pid=$!
	sleep 0.5
	says "in use" delete_queue --if-unused -q "$q"
	publish -r "$q" -b done
	wait "$pid"
	same done "$(cat "$scratch/used")"
	same 0 "$(delete_queue --if-unused -q "$q")"
}

consumes_with_prefetch() {
	local q=$prefix.prefetch
	declare_queue -q "$q"
	for n in 1 2 3 4 5; do publish -r "$q" -b "$n;"; done
	consume -q "$q" -p 1 -c 3 cat >"$scratch/prefetch"
	same "1;2;3;" "$(cat "$scratch/prefetch")"
	sleep 0.2
	same 2 "$(delete_queue -q "$q")"
}

a_failing_command_keeps_its_message() {
	local q=$prefix.keep
	declare_queue -q "$q"
	publish -r "$q" -b precious
	consume -q "$q" -c 1 false || true
	sleep 0.3
	same precious "$(get -q "$q")"
	delete_queue -q "$q"
}

consumes_without_acks() {
	local q=$prefix.noack
	declare_queue -q "$q"
	for n in 1 2 3; do publish -r "$q" -b x; done
	consume -q "$q" -A -c 3 cat >"$scratch/noack"
	same xxx "$(cat "$scratch/noack")"
	delete_queue -q "$q"
}

binds_to_an_exchange() {
	local exchange key pid
	for exchange in amq.direct amq.topic amq.fanout; do
		key=$prefix.key
		# Says the name of its queue on stderr as soon as it consumes.
		amqp-consume "${where[@]}" -e "$exchange" -r "$key" -c 2 cat >"$scratch/bound" 2>"$scratch/name" &
		pid=$!
		for _ in $(seq 50); do grep -q 'amq.gen-' "$scratch/name" && break; sleep 0.1; done
		sleep 0.2
		publish -e "$exchange" -r "$key" -b one
		publish -e "$exchange" -r "$key" -b two
		wait "$pid"
		same onetwo "$(cat "$scratch/bound")"
	done
}

carries_a_large_message() {
	local q=$prefix.large
	declare_queue -q "$q"
	head -c 10485760 /dev/urandom >"$scratch/large"
	publish -r "$q" <"$scratch/large"
	get -q "$q" | cmp - "$scratch/large"
	delete_queue -q "$q"
}

carries_any_octets() {
	local q=$prefix.octets
	declare_queue -q "$q"
	printf '\0\1\376\377\r\n\0' >"$scratch/octets"
	publish -r "$q" <"$scratch/octets"
	get -q "$q" | cmp - "$scratch/octets"
	publish -r "$q" </dev/null
	same "" "$(get -q "$q")"
	delete_queue -q "$q"
}

accepts_a_url() {
	local q=$prefix.url
	declare_queue -q "$q"
	amqp-publish --url "$AMQP_URI" -r "$q" -b x
	same x "$(amqp-get --url "$AMQP_URI" -q "$q")"
	amqp-delete-queue --url "$AMQP_URI" -q "$q"
}

accepts_heartbeats() {
	local q=$prefix.heartbeat pid
	declare_queue -q "$q"
	amqp-consume "${where[@]}" --heartbeat 1 -q "$q" -c 1 cat >"$scratch/beat" &
	pid=$!
	sleep 4
	publish -r "$q" -b alive
	wait "$pid"
	same alive "$(cat "$scratch/beat")"
	delete_queue -q "$q"
}

errors_are_told() {
	says "no queue 'nowhere' in vhost" get -q nowhere
	says "no queue 'nowhere' in vhost" consume -q nowhere cat
	says "reserved prefix" declare_queue -q amq.mine
}

a_wrong_password_is_refused() {
	says "ACCESS_REFUSED" amqp-get --server "$AMQP_HOST" --port "$AMQP_PORT" --vhost "$AMQP_VHOST" --username guest \
		--password wrong -q x
}

an_unknown_vhost_is_refused() {
	says "vhost nowhere not found" amqp-get --server "$AMQP_HOST" --port "$AMQP_PORT" --vhost nowhere \
		--username "$AMQP_USER" --password "$AMQP_PASSWORD" -q x
}

check "a queue is declared and deleted" declares_and_deletes
check "a durable queue is declared, an inequivalent one refused" declares_durable
check "the server names a queue" declares_server_named
check "messages are published and got" publishes_and_gets
check "an empty queue is told" get_of_an_empty_queue_exits_2
check "500 lines are 500 messages" publishes_lines
check "a queue is deleted only if empty" deletes_only_if_empty
check "a queue is deleted only if unused" deletes_only_if_unused
check "prefetch holds messages back" consumes_with_prefetch
check "a failing command's message is kept" a_failing_command_keeps_its_message
check "consuming without acks" consumes_without_acks
check "a consumer binds its own queue to each exchange type" binds_to_an_exchange
check "10 MB come back as sent" carries_a_large_message
check "any octets and none come back as sent" carries_any_octets
check "a URL says where to connect" accepts_a_url
check "heartbeats keep an idle consumer" accepts_heartbeats
check "errors carry the broker's text" errors_are_told
check "a wrong password is refused" a_wrong_password_is_refused
check "an unknown virtual host is refused" an_unknown_vhost_is_refused
finish
