  (func $region_1:0 (type $t8) (param $p0 i32) (param $p1 i32) (result i32)
    (local $l2 i32) (local $l3 i64) (local $l4 i64) (local $l5 i64) (local $l6 i64) (local $l7 i64) (local $l8 i32) (local $l9 i64) (local $l10 i64) (local $l11 i32) (local $l12 i64) (local $l13 i64) (local $l14 i64) (local $l15 i64) (local $l16 i32) (local $l17 i64) (local $l18 i32) (local $l19 i32)
    (if $I0
      (i32.lt_s
        (local.tee $l2
          (i32.add
            (i32.load offset=1724
              (local.get $p0))
            (i32.const 4)))
        (i32.const 3))
      (then
        (return_call_indirect (type $t8)
          (local.get $p0)
          (i32.const ADDRESS)
          (i32.load offset=4
            (i32.const ADDRESS)))))
    (local.set $l3
      (i64.load
        (local.get $p0)))
    (local.set $l4
      (i64.load offset=16
        (local.get $p0)))
    (local.set $l5
      (i64.load offset=24
        (local.get $p0)))
    (local.set $l6
      (i64.load offset=48
        (local.get $p0)))
    (local.set $l7
      (i64.load offset=136
        (local.get $p0)))
    (local.set $l8
      (i32.load offset=1704
        (local.get $p0)))
    (local.set $l9
      (i64.load offset=144
        (local.get $p0)))
    (local.set $l10
      (i64.load offset=152
        (local.get $p0)))
    (local.set $l11
      (i32.load offset=160
        (local.get $p0)))
    (local.set $l12
      (i64.const 0))
    (block $B1
      (local.set $l2
        (i32.sub
          (local.get $l2)
          (i32.const 3)))
      (local.set $l13
        (local.get $l3))
      (local.set $l14
        (local.get $l5))
      (local.set $l9
        (local.tee $l15
          (i64.add
            (local.get $l13)
            (local.get $l14))))
      (local.set $l10
        (local.get $l13))
      (local.set $l15
        (local.tee $l3
          (local.get $l15)))
      (local.set $l14
        (local.get $l6))
      (local.set $l16
        (i32.add
          (local.get $l8)
          (i32.and
            (i32.shr_u
              (i32.wrap_i64
                (local.get $l14))
              (i32.const 8))
            (i32.const 131056))))
      (local.set $l17
        (local.tee $l13
          (i64.and
            (i64.add
              (local.get $l14)
              (i64.const 7))
            (i64.const -4096))))
      (if $I2
        (i64.eq
          (i64.load offset=131072
            (local.get $l16))
          (local.get $l13))
        (then
          (local.set $l18
            (i32.load offset=131080
              (local.get $l16)))
          (i64.store
            (i32.add
              (i32.wrap_i64
                (local.get $l14))
              (local.get $l18))
            (local.get $l15)))
        (else
          (i64.store offset=1744
            (local.get $p0)
            (local.get $l15))
          (br_if $B1
            (i32.eqz
              (local.tee $l19
                (call $env.regionWrite
                  (local.get $p0)
                  (local.get $l14)
                  (global.get $place.firstSite)
                  (i32.const 7)))))
          (local.set $l17
            (i64.const 1))))
      (local.set $l4
        (local.tee $l14
          (i64.load
            (local.tee $l16
              (if $I3 (result i32)
                (i64.eq
                  (i64.and
                    (local.tee $l13
                      (i64.add
                        (local.get $l6)
                        (i64.const 8)))
                    (i64.const -4089))
                  (local.get $l17))
                (then
                  (i32.add
                    (i32.wrap_i64
                      (local.get $l13))
                    (local.get $l18)))
                (else
                  (br_if $B1
                    (i32.eqz
                      (local.tee $l19
                        (call $env.regionRead
                          (local.get $p0)
                          (local.get $l13)
                          (i32.add
                            (global.get $place.firstSite)
                            (i32.const 1))
                          (i32.const 7)))))
                  (local.get $l19)))))))
      (local.set $l14
        (i64.add
          (local.get $l7)
          (i64.const 10)))
      (i64.store
        (local.get $p0)
        (local.get $l3))
      (i64.store offset=16
        (local.get $p0)
        (local.get $l4))
      (i64.store offset=144
        (local.get $p0)
        (local.get $l9))
      (i64.store offset=152
        (local.get $p0)
        (local.get $l10))
      (i32.store offset=160
        (local.get $p0)
        (i32.const 7))
      (i32.store offset=1724
        (local.get $p0)
        (local.get $l2))
      (return_call $env.followtrue
        (local.get $p0)
        (global.get $place.firstExit)
        (local.get $l14))
      (unreachable))
    (i64.store
      (local.get $p0)
      (local.get $l3))
    (i64.store offset=16
      (local.get $p0)
      (local.get $l4))
    (i64.store offset=144
      (local.get $p0)
      (local.get $l9))
    (i64.store offset=152
      (local.get $p0)
      (local.get $l10))
    (i32.store offset=160
      (local.get $p0)
      (local.get $l11))
    (i64.store offset=136
      (local.get $p0)
      (local.get $l7))
    (i32.store offset=1724
      (local.get $p0)
      (local.get $l2))
    (return
      (i32.const 7))
    (unreachable))
