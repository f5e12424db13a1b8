# Completion of portsentryctl for bash: verbs, flags, and the addresses that are banned at this moment.
# Installed to share/bash-completion/completions/portsentryctl; needs no function of bash-completion.

_portsentryctl() {
  # Readline ends a word at each colon of an IPv6 address: the line is split at blanks instead.
  local line=${COMP_LINE:0:COMP_POINT} typed words=
  read -ra typed <<<"$line"
  if [[ $line == *[[:space:]] ]]; then typed+=(''); fi
  local count=$((${#typed[@]} - 1))
  local current=${typed[count]} previous=${typed[count-1]} verb=${typed[1]}
  local verbs='status list why ban unban allow protected top watch reload check arm confirm observe follow
    selftest flush history report help'
  COMPREPLY=()
  if ((count == 1)); then
    mapfile -t COMPREPLY < <(compgen -W "$verbs -h --help -V --version" -- "$current")
    return
  fi
  case $previous in
    --only) words='timed permanent hand recovered troubled unverifiable' ;;
    --by) words='source port kind' ;;
    --for | --allow-for) words='10m 1h 12h 1d 7d' ;;
    --confirm-within) words='2m 5m 10m' ;;
    --since) words='1h 12h 1d 7d' ;;
    --limit) words='10 20 64' ;;
    --note) return ;;
    -f)
      compopt -o filenames
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      return
      ;;
  esac
  if [[ -n $words ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
    return
  fi
  case $verb in
    help) ((count == 2)) && words=$verbs ;;
    list) words='--only --plain --json' ;;
    why) words='--json' ;;
    ban) words='--for --permanent --note --json' ;;
    unban) words='--allow-for --permanent --json' ;;
    allow)
      words='--json'
      if ((count == 2)); then words='list add remove --json'; fi
      if [[ ${typed[2]} == add ]]; then words='--for --note --json'; fi
      ;;
    top) words='--by --since --limit --json' ;;
    check) words='-f --json' ;;
    arm) words='--confirm-within --confirm --json' ;;
    flush) words='--permanent --json' ;;
    history | report) words='--since --json' ;;
    *) words='--json' ;;
  esac
  # What is banned is asked of the daemon; where that may not be asked or does not run, there is silence.
  if [[ $current != -* ]]; then
    case $verb in
      why | unban | history) words+=" $(portsentryctl list --plain 2>/dev/null | head -n 200)" ;;
    esac
    if [[ $verb == unban ]]; then words+=' all'; fi
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  # Of an IPv6 address only what follows the last colon is put in.
  if [[ $current == *:* && $COMP_WORDBREAKS == *:* ]]; then
    local begin=${current%"${current##*:}"}
    COMPREPLY=("${COMPREPLY[@]#"$begin"}")
  fi
}
complete -F _portsentryctl portsentryctl
