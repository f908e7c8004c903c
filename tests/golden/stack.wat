  (func $region_1:0 (type $t4) (param $p0 i32) (param $p1 i32) (result i32)
    (local $l2 i32) (local $l3 i32) (local $l4 i32) (local $l5 i64) (local $l6 i64) (local $l7 i64) (local $l8 i64) (local $l9 i64) (local $l10 i32) (local $l11 i32) (local $l12 i32) (local $l13 i64) (local $l14 i64) (local $l15 i64) (local $l16 i32) (local $l17 i64) (local $l18 i64) (local $l19 i64) (local $l20 i32) (local $l21 i64) (local $l22 i32) (local $l23 i64) (local $l24 i64) (local $l25 i32) (local $l26 i32) (local $l27 i32) (local $l28 i32) (local $l29 i32) (local $l30 i32) (local $l31 i32) (local $l32 i32) (local $l33 i32)
    (local.set $l2
      (i32.const 12288))
    (local.set $l3
      (i32.sub
        (i32.load
          (i32.const ADDRESS))
        (i32.const 1)))
    (i32.store
      (i32.const ADDRESS)
      (local.get $l3))
    (if $I0
      (i32.le_s
        (local.get $l3)
        (i32.const 0))
      (then
        (return_call $env.cooled
          (local.get $l2)
          (i32.const ADDRESS)
          (local.get $p1)
          (i32.const ADDRESS))))
    (if $I1
      (i32.lt_s
        (local.tee $l4
          (i32.load offset=1724
            (local.get $l2)))
        (i32.const 4))
      (then
        (return_call $env.tooShort
          (local.get $l2)
          (i32.const ADDRESS))))
    (local.set $l10
      (i32.load offset=1704
        (local.get $l2)))
    (block $B2
      (block $B3
        (block $B4
          (block $B5
            (block $B6
              (local.set $l4
                (i32.sub
                  (local.get $l4)
                  (i32.const 4)))
              (local.set $l5
                (i64.load
                  (local.get $l2)))
              (local.set $l8
                (i64.load offset=32
                  (local.get $l2)))
              (local.set $l18
                (local.get $l5))
              (local.set $l21
                (i64.add
                  (local.tee $l19
                    (i64.add
                      (local.get $l8)
                      (i64.const -8)))
                  (i64.const -8)))
              (local.set $l22
                (i32.add
                  (local.get $l10)
                  (i32.and
                    (i32.shr_u
                      (i32.wrap_i64
                        (local.get $l21))
                      (i32.const 8))
                    (i32.const 131056))))
              (local.set $l23
                (i64.and
                  (i64.add
                    (local.get $l21)
                    (i64.const 15))
                  (i64.const -4096)))
              (if $I7
                (i64.ne
                  (local.tee $l24
                    (i64.load offset=131072
                      (local.get $l22)))
                  (local.get $l23))
                (then
                  (i64.store offset=1744
                    (local.get $l2)
                    (local.get $l24))
                  (i32.store offset=1724
                    (local.get $l2)
                    (local.get $l4))
                  (local.set $l9
                    (i64.const 71776136241086464))
                  (br $B3)))
              (i64.store offset=8
                (local.tee $l20
                  (i32.add
                    (i32.wrap_i64
                      (local.get $l21))
                    (i32.load offset=131080
                      (local.get $l22))))
                (local.get $l18))
              (local.set $l8
                (local.get $l19))
              (if $I8
                (i32.and
                  (local.tee $l22
                    (i32.load offset=1548
                      (local.get $l2)))
                  (i32.const 65536))
                (then
                  (i32.store offset=1760
                    (local.get $l2)
                    (i32.const 3))
                  (i32.store offset=1740
                    (local.get $l2)
                    (i32.const 0))
                  (i64.store offset=32
                    (local.get $l2)
                    (local.get $l8))
                  (i32.store offset=1724
                    (local.get $l2)
                    (local.get $l4))
                  (br $B2)))
              (local.set $l14
                (i64.load offset=144
                  (local.get $l2)))
              (local.set $l15
                (i64.load offset=152
                  (local.get $l2)))
              (local.set $l25
                (call $env.carryOf
                  (local.tee $l16
                    (i32.load offset=160
                      (local.get $l2)))
                  (local.get $l14)
                  (local.get $l15)))
              (if $I9
                (local.get $l16)
                (then
                  (i64.store offset=144
                    (local.get $l2)
                    (local.get $l14))
                  (i64.store offset=152
                    (local.get $l2)
                    (local.get $l15))
                  (i32.store offset=160
                    (local.get $l2)
                    (local.get $l16))
                  (local.set $l26
                    (call $helpers.settleFlags
                      (i32.const 0)
                      (i32.const 0)
                      (i32.const 0)
                      (i32.const 0)
                      (i32.const 0)
                      (i32.const 0)))
                  (local.set $l14
                    (i64.load offset=144
                      (local.get $l2)))
                  (local.set $l15
                    (i64.load offset=152
                      (local.get $l2)))))
              (local.set $l27
                (i32.xor
                  (i32.and
                    (i32.popcnt
                      (i32.and
                        (i32.wrap_i64
                          (i64.xor
                            (local.get $l14)
                            (i64.shr_u
                              (local.get $l15)
                              (i64.const 8))))
                        (i32.const 255)))
                    (i32.const 1))
                  (i32.const 1)))
              (local.set $l28
                (i32.and
                  (i32.wrap_i64
                    (i64.shr_u
                      (local.get $l15)
                      (i64.const 3)))
                  (i32.const 1)))
              (local.set $l29
                (i64.eqz
                  (local.get $l14)))
              (local.set $l30
                (i32.and
                  (i32.xor
                    (i32.wrap_i64
                      (i64.shr_u
                        (local.get $l14)
                        (i64.const 63)))
                    (i32.wrap_i64
                      (i64.shr_u
                        (local.get $l15)
                        (i64.const 16))))
                  (i32.const 1)))
              (local.set $l31
                (i32.or
                  (i32.or
                    (i32.or
                      (local.get $l25)
                      (i32.shl
                        (local.get $l27)
                        (i32.const 2)))
                    (i32.or
                      (i32.shl
                        (local.get $l28)
                        (i32.const 4))
                      (i32.shl
                        (local.get $l29)
                        (i32.const 6))))
                  (i32.or
                    (i32.shl
                      (local.get $l30)
                      (i32.const 7))
                    (i32.const 2))))
              (local.set $l32
                (i32.wrap_i64
                  (i64.shr_u
                    (i64.xor
                      (local.get $l15)
                      (i64.shl
                        (local.get $l15)
                        (i64.const 1)))
                    (i64.const 63))))
              (local.set $l24
                (i64.extend_i32_u
                  (i32.or
                    (i32.and
                      (local.tee $l33
                        (i32.load offset=168
                          (local.get $l2)))
                      (i32.const -196609))
                    (i32.or
                      (local.get $l31)
                      (i32.shl
                        (local.get $l32)
                        (i32.const 11))))))
              (local.set $l23
                (i64.add
                  (local.get $l8)
                  (i64.const -8)))
              (i64.store
                (local.get $l20)
                (local.get $l24))
              (local.set $l8
                (local.get $l23))
              (local.set $l23
                (i64.load
                  (local.get $l20)))
              (local.set $l8
                (local.tee $l24
                  (i64.add
                    (local.get $l8)
                    (i64.const 8))))
              (local.set $l6
                (local.get $l23))
              (local.set $l24
                (i64.load offset=8
                  (local.get $l20)))
              (local.set $l8
                (local.tee $l23
                  (i64.add
                    (local.get $l8)
                    (i64.const 8))))
              (local.set $l7
                (local.get $l24))
              (i64.store offset=16
                (local.get $l2)
                (local.get $l6))
              (i64.store offset=24
                (local.get $l2)
                (local.get $l7))
              (i64.store offset=32
                (local.get $l2)
                (local.get $l8))
              (i64.store offset=144
                (local.get $l2)
                (local.get $l14))
              (i64.store offset=152
                (local.get $l2)
                (local.get $l15))
              (i32.store offset=160
                (local.get $l2)
                (i32.const 0))
              (local.set $l11
                (i32.const ADDRESS))
              (local.set $l12
                (i32.const 4))
              (br $B4)
              (unreachable))
            (unreachable))
          (unreachable))
        (i32.store offset=1724
          (local.get $l2)
          (local.get $l4))
        (local.set $l23
          (i64.add
            (i64.load offset=136
              (local.get $l2))
            (i64.extend_i32_s
              (local.get $l12))))
        (i64.store offset=136
          (local.get $l2)
          (local.get $l23))
        (local.set $l33
          (local.get $l11))
        (return_call_indirect (type $t4)
          (local.get $l2)
          (local.get $l33)
          (i32.load offset=12
            (local.get $l33))))
      (return_call $env.missedtrue
        (local.get $l2)
        (local.get $l9)
        (i32.const ADDRESS)))
    (return
      (i32.const 7))
    (unreachable))
