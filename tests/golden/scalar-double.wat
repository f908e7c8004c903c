  (func $region_1:0 (type $t4) (param $p0 i32) (param $p1 i32) (result i32)
    (local $l2 i32) (local $l3 i32) (local $l4 i32) (local $l5 i64) (local $l6 i64) (local $l7 i32) (local $l8 i32) (local $l9 i32) (local $l10 i64) (local $l11 i64) (local $l12 i64) (local $l13 i32) (local $l14 i64) (local $l15 i32) (local $l16 i64) (local $l17 i64) (local $l18 i32) (local $l19 i64) (local $l20 i64) (local $l21 f64) (local $l22 f64) (local $l23 f64) (local $l24 f64) (local $l25 f64) (local $l26 i32) (local $l27 i32)
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
    (local.set $l7
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
              (local.set $l17
                (i64.add
                  (local.tee $l16
                    (local.tee $l5
                      (i64.load offset=48
                        (local.get $l2))))
                  (i64.const 0)))
              (local.set $l18
                (i32.add
                  (local.get $l7)
                  (i32.and
                    (i32.shr_u
                      (i32.wrap_i64
                        (local.get $l17))
                      (i32.const 8))
                    (i32.const 131056))))
              (local.set $l19
                (i64.and
                  (i64.add
                    (local.get $l17)
                    (i64.const 7))
                  (i64.const -4096)))
              (if $I7
                (i64.ne
                  (local.tee $l20
                    (i64.load
                      (local.get $l18)))
                  (local.get $l19))
                (then
                  (i64.store offset=1744
                    (local.get $l2)
                    (local.get $l20))
                  (i32.store offset=1724
                    (local.get $l2)
                    (local.get $l4))
                  (local.set $l6
                    (i64.const 71776136241086464))
                  (br $B3)))
              (local.set $l21
                (f64.load
                  (local.tee $l15
                    (i32.add
                      (i32.wrap_i64
                        (local.get $l17))
                      (i32.load offset=8
                        (local.get $l18))))))
              (local.set $l22
                (f64.load offset=1104
                  (local.get $l2)))
              (if $I8
                (i32.eqz
                  (i32.lt_u
                    (i32.sub
                      (i32.wrap_i64
                        (i64.shr_u
                          (i64.reinterpret_f64
                            (local.get $l21))
                          (i64.const 31)))
                      (i32.const ADDRESS))
                    (i32.const ADDRESS)))
                (then
                  (if $I9
                    (i32.eqz
                      (i64.eq
                        (local.tee $l20
                          (i64.shl
                            (i64.reinterpret_f64
                              (local.get $l21))
                            (i64.const 1)))
                        (i64.const 0)))
                    (then
                      (v128.store offset=1088
                        (local.get $l2)
                        (f64x2.replace_lane 0
                          (v128.const i32x4 0x00000000 0x00000000 0x00000000 0x00000000)
                          (local.get $l21)))
                      (i32.store offset=1724
                        (local.get $l2)
                        (local.get $l4))
                      (call $env.regionAbandon
                        (i32.const 0)
                        (i32.const 8192))
                      (br $B2)))))
              (if $I10
                (i32.eqz
                  (i32.lt_u
                    (i32.sub
                      (i32.wrap_i64
                        (i64.shr_u
                          (i64.reinterpret_f64
                            (local.get $l22))
                          (i64.const 31)))
                      (i32.const ADDRESS))
                    (i32.const ADDRESS)))
                (then
                  (if $I11
                    (i32.eqz
                      (i64.eq
                        (local.tee $l19
                          (i64.shl
                            (i64.reinterpret_f64
                              (local.get $l22))
                            (i64.const 1)))
                        (i64.const 0)))
                    (then
                      (v128.store offset=1088
                        (local.get $l2)
                        (f64x2.replace_lane 0
                          (v128.const i32x4 0x00000000 0x00000000 0x00000000 0x00000000)
                          (local.get $l21)))
                      (i32.store offset=1724
                        (local.get $l2)
                        (local.get $l4))
                      (call $env.regionAbandon
                        (i32.const 1)
                        (i32.const 8192))
                      (br $B2)))))
              (if $I12
                (i32.eqz
                  (i32.eq
                    (i32.and
                      (local.tee $l18
                        (i32.load offset=1500
                          (local.get $l2)))
                      (i32.const 28704))
                    (i32.const 4128)))
                (then
                  (v128.store offset=1088
                    (local.get $l2)
                    (f64x2.replace_lane 0
                      (v128.const i32x4 0x00000000 0x00000000 0x00000000 0x00000000)
                      (local.get $l21)))
                  (i32.store offset=1724
                    (local.get $l2)
                    (local.get $l4))
                  (call $env.regionAbandon
                    (i32.const 2)
                    (i32.const 8192))
                  (br $B2)))
              (local.set $l23
                (f64.mul
                  (local.get $l21)
                  (local.get $l22)))
              (if $I13
                (i32.eqz
                  (i32.lt_u
                    (i32.sub
                      (i32.wrap_i64
                        (i64.shr_u
                          (i64.reinterpret_f64
                            (local.tee $l24
                              (f64.load offset=1120
                                (local.get $l2))))
                          (i64.const 31)))
                      (i32.const ADDRESS))
                    (i32.const ADDRESS)))
                (then
                  (if $I14
                    (i32.eqz
                      (i64.eq
                        (local.tee $l19
                          (i64.shl
                            (i64.reinterpret_f64
                              (local.get $l24))
                            (i64.const 1)))
                        (i64.const 0)))
                    (then
                      (v128.store offset=1088
                        (local.get $l2)
                        (f64x2.replace_lane 0
                          (v128.const i32x4 0x00000000 0x00000000 0x00000000 0x00000000)
                          (local.get $l23)))
                      (i32.store offset=1724
                        (local.get $l2)
                        (local.get $l4))
                      (call $env.regionAbandon
                        (i32.const 3)
                        (i32.const 8192))
                      (br $B2)))))
              (local.set $l25
                (f64.add
                  (local.get $l23)
                  (local.get $l24)))
              (local.set $l20
                (i64.add
                  (local.tee $l19
                    (local.get $l5))
                  (i64.const 0)))
              (local.set $l27
                (i32.add
                  (local.get $l7)
                  (i32.and
                    (i32.shr_u
                      (i32.wrap_i64
                        (local.get $l20))
                      (i32.const 8))
                    (i32.const 131056))))
              (local.set $l17
                (i64.and
                  (i64.add
                    (local.get $l20)
                    (i64.const 7))
                  (i64.const -4096)))
              (if $I15
                (i64.ne
                  (local.tee $l16
                    (i64.load offset=131072
                      (local.get $l27)))
                  (local.get $l17))
                (then
                  (i64.store offset=1744
                    (local.get $l2)
                    (local.get $l16))
                  (v128.store offset=1088
                    (local.get $l2)
                    (f64x2.replace_lane 0
                      (v128.const i32x4 0x00000000 0x00000000 0x00000000 0x00000000)
                      (local.get $l25)))
                  (i32.store offset=1724
                    (local.get $l2)
                    (local.get $l4))
                  (local.set $l6
                    (i64.const 71776123356184588))
                  (br $B3)))
              (f64.store
                (local.tee $l26
                  (i32.add
                    (i32.wrap_i64
                      (local.get $l20))
                    (i32.load offset=131080
                      (local.get $l27))))
                (local.get $l25))
              (v128.store offset=1088
                (local.get $l2)
                (f64x2.replace_lane 0
                  (v128.const i32x4 0x00000000 0x00000000 0x00000000 0x00000000)
                  (local.get $l25)))
              (local.set $l8
                (i32.const ADDRESS))
              (local.set $l9
                (i32.const 16))
              (br $B4)
              (unreachable))
            (unreachable))
          (unreachable))
        (i32.store offset=1724
          (local.get $l2)
          (local.get $l4))
        (local.set $l16
          (i64.add
            (i64.load offset=136
              (local.get $l2))
            (i64.extend_i32_s
              (local.get $l9))))
        (i64.store offset=136
          (local.get $l2)
          (local.get $l16))
        (local.set $l27
          (local.get $l8))
        (return_call_indirect (type $t4)
          (local.get $l2)
          (local.get $l27)
          (i32.load offset=12
            (local.get $l27))))
      (return_call $env.missedtrue
        (local.get $l2)
        (local.get $l6)
        (i32.const ADDRESS)))
    (return
      (i32.const 7))
    (unreachable))
