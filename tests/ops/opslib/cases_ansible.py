"""Debian's Ansible with its modules for RabbitMQ, unchanged: over rabbitmqctl, HTTP and AMQP."""

import os
import re
import socket
import subprocess

from . import broker
from .api import Api
from .broker import Broker
from .suite import LeftOut, case, equal, holds

PLAYBOOK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "ansible", "present.yml")
ANSIBLE = "/usr/bin/ansible-playbook"


@case
def modules_for_rabbitmq():
    if not os.path.exists(ANSIBLE):
        raise LeftOut("ansible-playbook is not there: apt-get install ansible python3-requests")
    node = "rabbit@" + socket.gethostname().split(".")[0]  # the modules ask for -n rabbit
    with Broker({"node_name": node, "management": {"listeners": ["127.0.0.1:0"]}}) as b:
        api = Api(b)
        os.makedirs(b.path("bin"))
        os.symlink(broker.programs["jackalopectl"], b.path("bin/rabbitmqctl"))
        env = broker.environment(
            PATH=f"{b.path('bin')}:/usr/sbin:/usr/bin:/sbin:/bin", HOME=b.dir, ANSIBLE_HOME=b.path("ansible"),
            ANSIBLE_LOCAL_TEMP=b.path("ansible/tmp"), ANSIBLE_REMOTE_TEMP=b.path("ansible/tmp"), LC_ALL="C.UTF-8",
            JACKALOPE_CONTROL=os.path.join(b.data, "control.sock"), ANSIBLE_PYTHON_INTERPRETER="/usr/bin/python3")

        done = subprocess.run([ANSIBLE, "-e", f"http={api.port} amqp={b.port}", PLAYBOOK], env=env, capture_output=True,
                              text=True, timeout=120, check=False)
        holds(done.returncode == 0, done.stdout + done.stderr)
        equal(re.search(r"ok=(\d+) +changed=(\d+)", done.stdout).groups(), ("11", "11"), "all is made")
        queue = api.get("queues/shop/orders")
        equal((queue["arguments"], queue["policy"]), ({"x-dead-letter-exchange": "x", "x-max-length": 5}, "short"))
        equal(b.told("list_user_limits", "--user", "app").strip(), '{"max-channels":7,"max-connections":5}')
        message, = api.post("queues/shop/orders/get", {"count": 1, "ackmode": "ack_requeue_false", "encoding": "auto"})[1]
        equal((message["payload"], message["routing_key"]), ("hello", "a.b"))
