# Completion of jackalopectl for bash: the daemon says which commands there are.
_jackalopectl()
{
    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} control=() i
    for ((i = 1; i < COMP_CWORD; i++)); do
        [[ ${COMP_WORDS[i - 1]} == --control || ${COMP_WORDS[i - 1]} == -C ]] && control=(--control "${COMP_WORDS[i]}")
    done
    case $previous in
        --control | -C) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
        --formatter) mapfile -t COMPREPLY < <(compgen -W "table pretty_table json csv" -- "$word") ;;
        -p | --vhost) mapfile -t COMPREPLY < <(compgen -W "$(jackalopectl "${control[@]}" -s list_vhosts 2>/dev/null)" -- "$word") ;;
        *)
            if [[ $word == -* ]]; then
                mapfile -t COMPREPLY < <(compgen -W "--control --formatter --help --no-table-headers --quiet --silent \
                    --timeout --vhost" -- "$word")
            else
                mapfile -t COMPREPLY < <(jackalopectl "${control[@]}" -t 2 autocomplete "$word" 2>/dev/null)
            fi
            ;;
    esac
}
complete -F _jackalopectl jackalopectl
