# One recorded span from the far future does not close every window.
spanmill m1 {
windows: {after_root: 2s}
}
sink s1
client c1 -svc cart -recorded { span -trace 0a -id 1 -start 0s -dur 1s }
client c1 -recorded { span -trace 0b -id 1 -start 9000h -dur 1s }
client c1 -recorded { span -trace 0a -id 2 -parent 1 -start 500ms -dur 1s }
expect m1.stat(windows_closed_total) == 0
drain
expect s1.writes == 2
expect s1.ids(0a) == "1 2"
