#!/bin/sh
# Called by udhcpc with the lease in the environment.
case $1 in
    bound | renew)
        ip addr replace "$ip/$mask" dev "$interface"
        if [ -n "$router" ]; then ip route replace default via "${router%% *}"; fi
        for server in $dns; do echo "nameserver $server"; done >/etc/resolv.conf
        echo "GUEST dhcp $interface $ip/$mask gw $router" >/dev/console
        ;;
esac
